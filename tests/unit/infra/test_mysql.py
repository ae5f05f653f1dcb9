"""A database on a MySQL server, from its record to the Jobs that bring it about."""

import json
from typing import Any

from infra.model.records import RECORDS
from infra.model.servers import Server
from infra.model.services import DatabaseUse, Service
from infra.stack.diff import load_stack
from tests.harness.composed import compose
from tests.harness.population import and_more

WITH_MYSQL = and_more(
    Server("ledger", "mysql"),
    Service("clerk", "clerk", databases=(DatabaseUse("books_db", "ledger", owns_migrations=True),)),
    of=RECORDS,
)


def test_services_get_one_account_and_migrations_another() -> None:
    recording, _ = compose(load_stack("dev"), WITH_MYSQL)

    def users(kind: str, name: str) -> set[str]:
        pods: list[Any] = [
            r.inputs["spec"]["template"]["spec"]
            for r in recording.of(kind)
            # A component of ours is called a Job, too.
            if r.name == name and "spec" in r.inputs
        ]
        variables = [e for pod in pods for c in pod["containers"] for e in c.get("env", ())]
        return {e["value"] for e in variables if e["name"] == "DATABASE_USER"}

    assert users("Deployment", "clerk") == {"books_db_user"}
    assert users("Job", "migrate-books-db") == {"books_db_owner"}
    spec = json.loads(
        recording.one("ConfigMap", "ledger-provision-spec").inputs["data"]["spec.json"]
    )
    assert spec["backup"]["name"] == "backup_user"
    assert [d["name"] for d in spec["databases"]] == ["books_db"]

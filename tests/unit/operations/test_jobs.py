"""Jobs made of the stack's own templates: what they inherit, and what they add."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest

from infra.model.records import RECORDS
from operations import jobs, request
from policies.resources import Resource
from policies.rules import RULES
from tests.harness.composed import composed

WHO = "ada@desk as admin"


@cache
def template(name: str) -> dict[str, Any]:
    """As the API server gives it: with what it has made up itself."""
    found = composed("airgap").of("CronJob")
    inputs = next(r.inputs for r in found if r.custom and r.name == name)
    return {**inputs, "metadata": {**inputs["metadata"], "uid": f"uid-of-{name}"}}


def made(asked: request.Request) -> dict[str, Any]:
    return jobs.job(asked, template(asked.template), WHO)


def asked(database: str) -> list[request.Request]:
    of = request.target(database)
    return [
        request.backup(of),
        request.drill(of, ""),
        request.restore(of, "b-1", database, migrate=False),
        request.pitr(of, "2026-01-02T03:04:05Z", database, migrate=False),
        request.migrate(of, "0001", dry_run=True),
        request.load_schema(of),
    ]


DATABASES = [
    name
    for server in RECORDS.servers
    for name in RECORDS.databases(server=server.name)
    if server.engine == "postgres"
]


@pytest.mark.parametrize("database", DATABASES)
def test_every_operation_has_a_template_and_its_job_keeps_all_rules(database: str):
    for one in asked(database):
        job = made(one)
        resource = Resource("kubernetes:batch/v1:Job", job["metadata"]["name"], job)
        assert [told for rule in RULES for told in rule.check(resource)] == []


def test_all_operations_on_a_server_have_one_name_so_that_only_one_can_be():
    names = {made(one)["metadata"]["name"] for db in ("restdb", "workerdb") for one in asked(db)}
    assert names == {"postgres-operation"}


def test_its_pods_are_not_taken_for_those_of_the_nightly_job():
    job = made(request.backup(request.target("restdb")))
    label = job["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"]
    assert label == "postgres-operation"


def test_it_goes_when_its_template_goes_for_destroy_does_not_know_it():
    job = made(request.backup(request.target("restdb")))
    (owner,) = job["metadata"]["ownerReferences"]
    template_of = request.backup(request.target("restdb")).template
    assert (owner["kind"], owner["name"]) == ("CronJob", template_of)
    assert owner["uid"] == f"uid-of-{template_of}"
    assert not owner.get("controller"), "the schedule would count it among its own"


def test_who_asked_is_noted_at_the_job_and_told_to_the_program():
    job = made(request.backup(request.target("restdb")))
    assert job["metadata"]["annotations"][jobs.WHO] == WHO
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert {"name": "OPERATOR", "value": WHO} in container["env"]


def test_a_template_is_not_changed_by_what_is_made_of_it():
    of = request.target("restdb")
    before = repr(template("restdb-restore"))
    made(request.drill(of, "b-1"))
    assert repr(template("restdb-restore")) == before


def item(*conditions: dict[str, str], **annotations: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "postgres-operation",
            "uid": "1",
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "annotations": annotations,
        },
        "status": {"conditions": [{"status": "True", **one} for one in conditions]},
    }


def test_a_job_is_over_when_it_is_complete_or_was_given_up():
    assert not jobs.seen(item()).over
    assert not jobs.seen(item({"type": "FailureTarget"})).over
    assert jobs.seen(item({"type": "Complete"})).succeeded
    late = jobs.seen(item({"type": "Failed", "reason": "DeadlineExceeded"}))
    assert late.over
    assert "backupSeconds" in late.failed


def test_a_second_operator_is_told_who_runs_what_since_when():
    running = jobs.seen(item(**{jobs.OPERATION: "restore of restdb", jobs.WHO: WHO}))
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC) + timedelta(minutes=7)
    told = str(jobs.refuse_beside(running, now))
    for part in ("restore of restdb", "7 min", WHO, "2026-01-02T03:04:05Z", "make operation"):
        assert part in told


def test_what_a_pod_waits_for_is_known_from_its_container_or_the_scheduler():
    pulling = {
        "metadata": {"name": "p"},
        "status": {
            "phase": "Pending",
            "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}],
            "conditions": [{"type": "PodScheduled", "status": "False", "message": "no room"}],
        },
    }
    seen = jobs.attempt(pulling)
    assert not seen.started
    assert seen.waiting == "ImagePullBackOff; no room"

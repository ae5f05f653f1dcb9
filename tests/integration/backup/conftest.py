"""A server of each kind for all tests of backups, who may stop it, and a pod of Jobs beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.provision import mysql as provision_mysql
from services.provision import postgres as provision_postgres
from services.provision.spec import AccountSpec, BackupAccountSpec, DatabaseSpec
from tests.integration.backup.on_mysql import OnMySQL
from tests.integration.backup.on_postgres import OnPostgres
from tests.integration.backup.pod import start_pod
from tests.integration.containers import Containers
from tests.integration.servers import Authority, start_mysql, start_postgres

_ROOT = Path(__file__).parents[3]
_BACKUP = "backup_user"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever comes first also builds an image, maybe beside two others who build the same."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(900))


def _image(containers: Containers, server: str) -> str:
    """What the cluster's Jobs run; layers that did not change come from the engine's cache."""
    built, _ = containers.engine.images.build(
        path=str(_ROOT),
        dockerfile="services/backup/Dockerfile",
        buildargs={
            "BUILD_IMAGE": containers.image("python-build"),
            "SERVER_IMAGE": containers.image(server),
        },
        network_mode="host",
        rm=True,
        forcerm=True,
        labels=containers.labels,
    )
    return built.id


@pytest.fixture(scope="session")
async def on_mysql(containers: Containers, authority: Authority) -> OnMySQL:
    server = start_mysql(containers, authority, name="mysql-backed-up")
    image = _image(containers, "mysql")
    await server.wait()
    made = server.database("client_db")
    password = authority.secret("backup")
    backup = AccountSpec(name=_BACKUP, password_file=password)
    spec = server.spec(made, backup=backup)
    await provision_mysql.provision(spec)
    pod = start_pod(
        containers,
        image,
        "mysql",
        authority,
        port=server.port,
        users={
            "backup": (_BACKUP, password),
            "administrator": ("root", server.admin_password_file),
            "application": (made.user.name, made.user.password_file),
        },
        accounts={
            "client_db": server.settings("client_db", made.user.name, made.user.password_file)
        },
        more={"database": "client_db", "prefix": "clients"},
    )
    return OnMySQL(server, pod, spec)


@pytest.fixture(scope="session")
async def on_postgres(containers: Containers, authority: Authority) -> OnPostgres:
    server = start_postgres(containers, authority, name="postgres-backed-up")
    image = _image(containers, "postgres")
    await server.wait()
    password = authority.secret("backup")
    accounts = {
        name: server.settings(name, name, authority.secret(name)) for name in ("restdb", "workerdb")
    }
    databases = [
        DatabaseSpec(name=name, role=name, password_file=one.password_file)
        for name, one in accounts.items()
    ]
    backup = BackupAccountSpec(user=_BACKUP, password_file=password)
    spec = server.spec(*databases).model_copy(update={"backup": backup})
    await provision_postgres.provision(spec)
    pod = start_pod(
        containers,
        image,
        "postgres",
        authority,
        port=server.port,
        users={
            "backup": (_BACKUP, password),
            "administrator": ("postgres", server.admin_password_file),
            "application": ("restdb", accounts["restdb"].password_file),
        },
        accounts=accounts,
        more={"database": "restdb", "prefix": "postgres", "folder": "postgres"},
    )
    return OnPostgres(server, pod)


Server = OnMySQL | OnPostgres


@pytest.fixture(params=["mysql", "postgres"])
def server(request: pytest.FixtureRequest) -> Server:
    """One of each kind: what backups promise, they promise of both."""
    return request.getfixturevalue(f"on_{request.param}")

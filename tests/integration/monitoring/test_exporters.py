"""What exporters tell of real servers, with the accounts that provisioning makes for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from components.monitoring import exporters
from components.servers.mysql import config as mysql_config
from components.servers.redis import config as redis_config
from infra.model.servers import EXPORTER_USER
from infra.monitoring.exporters import EXPORTERS
from services.provision import mysql as mysql_provisioner
from services.provision import postgres as postgres_provisioner
from services.provision.spec import AccountSpec, DatabaseSpec, ExporterAccountSpec
from tests.integration.authority import Authority, eventually
from tests.integration.containers import Containers
from tests.integration.exporter_container import Exporter, Series, start_exporter
from tests.integration.redis_users import kept
from tests.integration.servers import MySQLServer, PostgresServer, run_redis, start_mysql

WITHOUT_COPIES = ("mysql_slave_status_",)


def said(program: str) -> Mapping[str, tuple[str, ...]]:
    [exporter] = (one for one in EXPORTERS if one.name == program)
    return exporter.series


def check(found: Series, program: str, *, but: tuple[str, ...] = ()) -> None:
    """Every name is there, with the labels that are written down."""
    wanted = {name: set(of) for name, of in said(program).items() if not name.startswith(but)}
    missing = sorted(wanted.keys() - found.keys())
    assert not missing
    assert {name: {*found[name][0][0]} for name in wanted} == wanted


def value(found: Series, name: str) -> float:
    [(_, only)] = found[name]
    return only


@pytest.fixture(scope="module")
async def of_postgres(
    containers: Containers, authority: Authority, postgres: PostgresServer
) -> Exporter:
    own = ExporterAccountSpec(user=EXPORTER_USER, password_file=authority.secret("exporter"))
    made = DatabaseSpec(name="watched", role="watched", password_file=authority.secret("watched"))
    spec = postgres.spec(made).model_copy(update={"exporter": own})
    for _ in range(2):
        await postgres_provisioner.provision(spec)
    logins = {"postgres": (EXPORTER_USER, own.password_file.read_text())}
    return start_exporter(
        containers,
        authority,
        "postgres-exporter",
        exporters.postgres_command(),
        {"postgres_exporter.yml": exporters.postgres_config(logins)},
    )


class TestPostgres:
    def probe(self, exporter: Exporter, postgres: PostgresServer) -> Series:
        target = f"localhost:{postgres.port}/postgres"
        return exporter.probe(target=target, auth_module="postgres")

    async def test_what_rules_and_boards_ask_for_is_there(
        self, of_postgres: Exporter, postgres: PostgresServer
    ) -> None:
        found = self.probe(of_postgres, postgres)
        assert value(found, "pg_up") == 1
        check(found, "postgres_exporter")
        [sizes] = (
            of for labels, of in found["pg_database_size_bytes"] if labels["datname"] == "watched"
        )
        assert sizes > 0, "of databases that it may not enter"

    async def test_its_account_reads_no_row_and_opens_few_connections(
        self, of_postgres: Exporter, postgres: PostgresServer
    ) -> None:
        [row] = await postgres.as_admin(
            "SELECT rolconnlimit, rolsuper OR rolreplication OR rolcreaterole AS powerful,"
            " has_database_privilege(rolname, 'watched', 'CONNECT') AS enters,"
            " pg_has_role(rolname, 'pg_read_all_data', 'USAGE') AS reads"
            f" FROM pg_roles WHERE rolname = '{EXPORTER_USER}'"
        )
        assert tuple(row) == (3, False, False, False)

    async def test_a_server_that_is_away_is_told_and_no_failed_scrape(
        self, of_postgres: Exporter, healthy_postgres: PostgresServer
    ) -> None:
        healthy_postgres.container.stop()
        assert value(self.probe(of_postgres, healthy_postgres), "pg_up") == 0
        healthy_postgres.container.start()
        await healthy_postgres.wait()

        async def back() -> bool:  # its own time-out is shorter than a busy machine's pauses
            return value(self.probe(of_postgres, healthy_postgres), "pg_up") == 1

        await eventually(back)


@pytest.fixture(scope="module")
async def nodes(
    containers: Containers, authority: Authority
) -> AsyncIterator[tuple[MySQLServer, MySQLServer]]:
    """A source and its copy."""
    passwords = {
        path: authority.secret("mysql").read_bytes()
        for path in (
            mysql_config.ADMIN_PATH,
            mysql_config.HEALTH_PATH,
            mysql_config.REPLICATION_PATH,
        )
    }
    more: Any = {"passwords": passwords}
    host = "watched-0"
    source = start_mysql(containers, authority, name="watched-source", hostname=host, **more)
    await source.wait()
    copy = start_mysql(
        containers,
        authority,
        name="watched-copy",
        hostname="watched-readers-0",
        source=host,
        **more,
    )
    await copy.wait()
    yield source, copy
    source.container.remove()
    copy.container.remove()


@pytest.fixture(scope="module")
async def of_mysql(
    containers: Containers, authority: Authority, nodes: tuple[MySQLServer, MySQLServer]
) -> Exporter:
    source, copy = nodes
    own = AccountSpec(name=EXPORTER_USER, password_file=authority.secret("exporter"))
    spec = source.spec(source.database("watched")).model_copy(update={"exporter": own})
    for _ in range(2):
        await mysql_provisioner.provision(spec)

    async def arrived() -> bool:
        return bool(
            await copy.as_admin(f"SELECT 1 FROM user WHERE user = '{EXPORTER_USER}'")
            and copy.ready("following")
        )

    await eventually(arrived)
    logins = {"client-database": (EXPORTER_USER, own.password_file.read_text())}
    return start_exporter(
        containers,
        authority,
        "mysqld-exporter",
        exporters.mysql_command(),
        {"my.cnf": exporters.mysql_config(logins)},
    )


class TestMySQL:
    def probe(self, exporter: Exporter, node: MySQLServer) -> Series:
        return exporter.probe(target=f"localhost:{node.port}", auth_module="client.client-database")

    async def test_what_rules_and_boards_ask_for_is_there(
        self, of_mysql: Exporter, nodes: tuple[MySQLServer, MySQLServer]
    ) -> None:
        source, copy = nodes
        found = self.probe(of_mysql, source)
        assert value(found, "mysql_up") == 1
        check(found, "mysqld_exporter", but=WITHOUT_COPIES)
        found = self.probe(of_mysql, copy)
        check(found, "mysqld_exporter")
        assert value(found, "mysql_slave_status_replica_io_running") == 1
        assert value(found, "mysql_slave_status_replica_sql_running") == 1

    async def test_its_account_reads_no_row_and_opens_few_connections(
        self, of_mysql: Exporter, nodes: tuple[MySQLServer, MySQLServer]
    ) -> None:
        grants = await nodes[0].as_admin(f"SHOW GRANTS FOR '{EXPORTER_USER}'@'%'")
        assert [[*row.values()] for row in grants] == [
            [f"GRANT REPLICATION CLIENT ON *.* TO `{EXPORTER_USER}`@`%`"]
        ]
        [row] = await nodes[0].as_admin(
            f"SELECT max_user_connections AS most FROM user WHERE user = '{EXPORTER_USER}'"
        )
        assert row["most"] == 3

    async def test_a_server_that_is_away_is_told_and_no_failed_scrape(
        self, of_mysql: Exporter, nodes: tuple[MySQLServer, MySQLServer]
    ) -> None:
        copy = nodes[1]
        copy.container.kill()
        assert value(self.probe(of_mysql, copy), "mysql_up") == 0
        copy.container.start()
        await copy.wait()

        async def back() -> bool:  # its own time-out is shorter than a busy machine's pauses
            return value(self.probe(of_mysql, copy), "mysql_up") == 1

        await eventually(back)


class TestRedis:
    async def test_what_rules_and_boards_ask_for_is_there_and_who_is_away_is_told(
        self, containers: Containers, authority: Authority
    ) -> None:
        password = authority.secret("exporter").read_text()
        users = [redis_config.exporter_line([password])]
        server = run_redis(containers, authority, "watched-redis", kept(64 * 2**20), users)
        address = f"rediss://localhost:{server.ports[6379]}"
        exporter = start_exporter(
            containers,
            authority,
            "redis-exporter",
            exporters.redis_command(EXPORTER_USER),
            {"passwords.json": exporters.redis_config({address: (EXPORTER_USER, password)})},
        )

        def probe() -> Series:
            return exporter.probe("/scrape", target=address)

        async def answers() -> bool:
            return value(probe(), "redis_up") == 1

        await eventually(answers)
        check(probe(), "redis_exporter")
        code, refused = server.ask(
            *("redis-cli", "--tls", "--cacert", "/etc/millrace/tls/ca.crt", "--user"),
            *(EXPORTER_USER, "--pass", password, "CONFIG", "GET", "maxmemory"),
        )
        assert "NOPERM" in refused, (code, refused)
        server.kill()
        assert value(probe(), "redis_up") == 0

"""A MySQL server as the cluster starts it: when it is ready, and what it survives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pymysql
import pytest
from pymysql.err import OperationalError

from components.servers.mysql import config
from services.shared.mysql.connections import Connection, connect, is_unavailable
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import PATIENCE, Authority, eventually
from tests.integration.containers import Containers, File
from tests.integration.mysql_container import MYSQL_UID
from tests.integration.servers import MySQLServer, start_mysql

ER_SECURE_TRANSPORT_REQUIRED = 3159


async def run(settings: DatabaseSettings, *statements: str) -> list[dict[str, object]]:
    connection = await connect(settings, "test", connect_timeout=PATIENCE)
    try:
        async with connection.cursor() as cursor:
            for statement in statements:
                await cursor.execute(statement)
            return list(await cursor.fetchall())
    finally:
        connection.close()


async def is_ready(server: MySQLServer) -> None:
    """Until it says so: its probe may not get an answer in time on a busy machine."""

    async def ready() -> bool:
        return server.ready()

    await eventually(ready)


@pytest.fixture
async def own(containers: Containers, authority: Authority) -> AsyncIterator[MySQLServer]:
    """A server that a test may kill."""
    server = start_mysql(containers, authority, name="mysql-own", max_connections=20)
    await server.wait()
    yield server
    server.container.remove()


async def test_it_starts_as_configured_and_says_that_it_is_ready(mysql: MySQLServer) -> None:
    (row,) = await mysql.as_admin(
        "SELECT @@character_set_server cs, @@collation_server c, @@gtid_mode g, @@sync_binlog s,"
        " @@require_secure_transport t, @@local_infile l, @@slow_query_log q, @@log_bin b"
    )
    assert row == {
        "cs": "utf8mb4",
        "c": "utf8mb4_unicode_ci",
        "g": "ON",
        "s": 1,
        "t": 1,
        "l": 0,
        "q": 0,
        "b": 1,
    }
    await is_ready(mysql)


async def test_nobody_is_let_in_without_tls_not_even_by_the_right_password(
    mysql: MySQLServer, authority: Authority
) -> None:
    password = authority.secret("plain")
    await mysql.as_admin("DROP USER IF EXISTS plain")
    # Nothing of the account asks for TLS; and it gets in with it, so that the server knows it.
    await mysql.as_admin(f"CREATE USER plain IDENTIFIED BY '{password.read_text()}'")
    given = mysql.settings("information_schema", "plain", password)
    assert await run(given, "SELECT 1 AS one") == [{"one": 1}]

    with pytest.raises(OperationalError) as refused:
        await asyncio.to_thread(
            pymysql.connect,
            host="localhost",
            port=mysql.port,
            user="plain",
            password=password.read_text(),
            ssl_disabled=True,
        )

    assert refused.value.args[0] == ER_SECURE_TRANSPORT_REQUIRED
    await mysql.as_admin("DROP USER plain")


async def test_it_has_no_accounts_but_those_of_its_own(mysql: MySQLServer) -> None:
    found = await mysql.as_admin(
        "SELECT user, host, ssl_type, plugin FROM mysql.user WHERE account_locked = 'N'"
        " AND user IN ('root', 'health', 'replication', '') ORDER BY user, host"
    )
    shown = [tuple(row.values()) for row in found]
    sha2 = "caching_sha2_password"
    assert shown == [
        ("health", "127.0.0.1", "ANY", sha2),
        ("root", "%", "ANY", sha2),
        ("root", "localhost", "", sha2),
    ]


async def test_the_account_of_the_probe_sees_nothing_and_gets_in_from_the_pod_alone(
    mysql: MySQLServer,
) -> None:
    grants = await mysql.as_admin("SHOW GRANTS FOR health@127.0.0.1")
    assert [one for row in grants for one in row.values()] == [
        "GRANT USAGE ON *.* TO `health`@`127.0.0.1`",
        "GRANT SERVICE_CONNECTION_ADMIN ON *.* TO `health`@`127.0.0.1`",
    ]


async def test_a_slow_statement_is_known_without_what_it_was_given(mysql: MySQLServer) -> None:
    await run(mysql.admin, "SELECT SLEEP(2.1) AS the_slow_one, 'of a client'")
    [slowest] = await mysql.as_admin(
        "SELECT digest_text AS text FROM performance_schema.events_statements_summary_by_digest"
        " WHERE digest_text LIKE '%the_slow_one%' AND max_timer_wait > 2e12"
    )
    assert slowest["text"] == "SELECT `SLEEP` (?) AS `the_slow_one` , ?"
    assert "of a client" not in mysql.container.logs()


async def test_the_probe_gets_in_when_all_connections_are_taken(own: MySQLServer) -> None:
    taken: list[Connection] = []

    async def all_taken() -> bool:
        # One more than the limit: the last is for an administrator.
        while len(taken) < 21:
            try:
                taken.append(await connect(own.admin, "test", connect_timeout=PATIENCE))
            except OperationalError as error:
                # That of the one who asked whether it is up is counted for a moment more.
                if not is_unavailable(error):
                    raise
                return False
        return True

    await eventually(all_taken)
    with pytest.raises(OperationalError) as refused:
        await connect(own.admin, "test", connect_timeout=PATIENCE)
    assert is_unavailable(refused.value)
    await is_ready(own)
    for connection in taken:
        connection.close()


async def test_killed_while_it_writes_it_has_all_that_it_acknowledged(own: MySQLServer) -> None:
    await run(
        own.admin, "CREATE DATABASE written", "CREATE TABLE written.t (id BIGINT PRIMARY KEY)"
    )
    acknowledged: set[int] = set()

    async def write(writer: int) -> None:
        connection = await connect(own.admin, "test", connect_timeout=PATIENCE)
        async with connection.cursor() as cursor:
            for number in range(100_000):
                value = writer * 1_000_000 + number
                await cursor.execute("INSERT INTO written.t VALUES (%s)", (value,))
                acknowledged.add(value)

    for _ in range(2):
        before = len(acknowledged)
        await run(own.admin, "TRUNCATE written.t")
        acknowledged.clear()
        writers = [asyncio.create_task(write(number)) for number in range(4)]

        async def busy() -> bool:
            return len(acknowledged) > 300

        await eventually(busy)
        own.container.kill()
        ended = await asyncio.gather(*writers, return_exceptions=True)
        assert all(isinstance(e, Exception) and is_unavailable(e) for e in ended), (before, ended)
        own.container.start()
        await own.wait()
        rows = await run(own.admin, "SELECT id FROM written.t")
        there = {row["id"] for row in rows}
        assert acknowledged <= there
        # At most the one statement of each writer whose answer got lost.
        assert len(there - acknowledged) <= 4


async def test_a_new_password_of_the_administrator_holds_from_the_next_start(
    own: MySQLServer,
) -> None:
    path = f"{config.ADMIN_PATH}/password"
    own.container.put({path: File(b"another1\n", 0o600, MYSQL_UID)})
    own.container.stop()
    own.container.start()
    own.admin_password_file.write_text("another1")
    await own.wait()


async def test_a_password_that_would_not_fit_between_quotes_stops_the_start(
    own: MySQLServer,
) -> None:
    path = f"{config.ADMIN_PATH}/password"
    own.container.put({path: File(b"x' OR '1", 0o600, MYSQL_UID)})
    own.container.stop()
    own.container.start()
    assert own.container.exit_code() == 1
    assert "letters and digits only" in own.container.logs()


async def test_an_initialisation_that_was_killed_is_thrown_away_by_the_next_start(
    containers: Containers, authority: Authority
) -> None:
    server = start_mysql(containers, authority, name="mysql-half")

    def there(path: str) -> bool:
        code, _ = server.container.ask("test", "-e", f"{config.DATA_PATH}/{path}")
        return code == 0

    async def half() -> bool:
        if there("data"):  # this process got no time while it was half done: once more
            server.container.execute(f"rm -r {config.DATA_PATH}/data")
            server.container.kill()
            server.container.start()
        return there("fresh.unfinished/ibdata1")

    await eventually(half)
    server.container.kill()
    server.container.start()
    await server.wait()
    assert server.container.ask("ls", config.DATA_PATH) == (0, "data\n")
    server.container.remove()


async def test_it_refuses_to_start_over_a_folder_that_is_no_data_of_mysql(
    own: MySQLServer,
) -> None:
    own.container.execute(f"rm {config.DATA_PATH}/data/mysql.ibd")
    own.container.stop()
    own.container.start()
    assert own.container.exit_code() == 1
    assert "refusing to initialise over it" in own.container.logs()


async def test_a_stop_is_orderly_and_needs_no_recovery(own: MySQLServer) -> None:
    own.container.stop(240)  # killed before, it has not been orderly
    assert own.container.exit_code() == 0
    assert "Shutdown complete" in own.container.logs()

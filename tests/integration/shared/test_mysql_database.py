"""The pool of MySQL connections against a real server: limits, absences, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry
from pymysql.err import IntegrityError

from services.shared.mysql import database as databases
from services.shared.mysql.connections import connect, connect_within, is_unavailable
from services.shared.mysql.database import Database
from services.shared.runtime.databases import DatabaseUnavailableError
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import PATIENCE, Authority, eventually
from tests.integration.servers import MySQLServer


@pytest.fixture
async def settings(mysql: MySQLServer) -> DatabaseSettings:
    made = await mysql.provision("pool_db")
    await mysql.as_admin(
        "CREATE TABLE IF NOT EXISTS things (id INT PRIMARY KEY, v VARCHAR(10))", "pool_db"
    )
    await mysql.as_admin("DELETE FROM things", "pool_db")
    return made


def pool(settings: DatabaseSettings, registry: CollectorRegistry, **more: float) -> Database:
    patient = {"connect_timeout": 30.0, "command_timeout": 30.0, **more}
    return Database(settings, registry, application_name="test", **patient)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def database(
    settings: DatabaseSettings, registry: CollectorRegistry
) -> AsyncIterator[Database]:
    # What is written goes to a disk that others keep busy.
    made = pool(settings, registry, kept=2, acquire_timeout=30.0)
    await made.open()
    yield made
    await made.close()


def connections(registry: CollectorRegistry, state: str) -> float | None:
    return registry.get_sample_value("db_pool_connections", {"database": "pool_db", "state": state})


async def test_statements_see_parameters_as_values_and_rows_by_name(database: Database) -> None:
    nasty = "'; -- é"
    assert await database.execute("INSERT INTO things VALUES (%s, %s)", 1, nasty) == 1
    assert await database.fetchrow("SELECT id, v FROM things") == {"id": 1, "v": nasty}
    assert await database.fetch("SELECT id FROM things WHERE id > %s", 5) == []
    assert await database.fetchrow("SELECT id FROM things WHERE id > %s", 5) is None
    # Found, though nothing changed.
    assert await database.execute("UPDATE things SET v = %s WHERE id = 1", nasty) == 1


async def test_a_second_statement_inside_one_is_refused(database: Database) -> None:
    with pytest.raises(Exception, match="syntax"):
        await database.execute("SELECT 1; SELECT 2")


async def at_server(mysql: MySQLServer, settings: DatabaseSettings) -> int:
    rows = await mysql.as_admin(
        f"SELECT COUNT(*) AS n FROM information_schema.processlist WHERE user = '{settings.user}'"
    )
    return rows[0]["n"]


async def test_no_more_connections_than_the_limit_and_only_those_kept_stay(
    mysql: MySQLServer, settings: DatabaseSettings, registry: CollectorRegistry
) -> None:
    few = settings.model_copy(update={"pool_size": 4})
    made = pool(few, registry, kept=2, spare_seconds=0.2, acquire_timeout=0.3)
    await made.open()
    inside, leave = asyncio.Semaphore(0), asyncio.Event()

    async def hold() -> None:
        async with made.connection():
            inside.release()
            await leave.wait()

    holders = [asyncio.create_task(hold()) for _ in range(4)]
    for _ in holders:
        await inside.acquire()
    assert (connections(registry, "in_use"), connections(registry, "max")) == (4, 4)
    with pytest.raises(DatabaseUnavailableError):
        await made.fetchrow("SELECT 1")
    leave.set()
    await asyncio.gather(*holders)
    assert connections(registry, "in_use") == 0

    async def thinned() -> bool:
        await made.fetchrow("SELECT 1")  # whoever comes by closes what is not needed any more
        return connections(registry, "idle") == 2 and await at_server(mysql, settings) == 2

    await eventually(thinned)
    # The places of those that were closed are not lost.
    await asyncio.gather(*(made.fetchrow("SELECT SLEEP(0.1)") for _ in range(4)))
    await made.close()
    assert connections(registry, "idle") == 0


async def test_a_rush_beyond_those_kept_opens_each_connection_once(
    mysql: MySQLServer, settings: DatabaseSettings, registry: CollectorRegistry
) -> None:
    made = pool(settings.model_copy(update={"pool_size": 8}), registry, kept=2)
    await made.open()
    seen: set[int] = set()

    async def ask() -> None:
        for _ in range(20):
            row = await made.fetchrow("SELECT CONNECTION_ID() AS id, SLEEP(0.001)")
            assert row is not None
            seen.add(row["id"])

    await asyncio.gather(*(ask() for _ in range(8)))
    assert len(seen) <= 8
    await made.close()


async def test_a_connection_retires_after_its_time(
    settings: DatabaseSettings, registry: CollectorRegistry
) -> None:
    made = pool(settings, registry, retire_seconds=10)
    await made.open()
    first = await made.fetchrow("SELECT CONNECTION_ID() AS id")
    assert await made.fetchrow("SELECT CONNECTION_ID() AS id") == first

    async def another() -> bool:
        return await made.fetchrow("SELECT CONNECTION_ID() AS id") != first

    await eventually(another)
    await made.close()


async def test_what_a_transaction_left_open_is_rolled_back_and_the_next_user_is_alone(
    database: Database,
) -> None:
    async with database.connection() as connection:
        await connection.begin()
        async with connection.cursor() as cursor:
            await cursor.execute("INSERT INTO things VALUES (1, 'x')")

    async def fail() -> None:
        async with database.connection() as connection, connection.cursor() as cursor:
            await connection.begin()
            await cursor.execute("INSERT INTO things VALUES (2, 'x')")
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await fail()
    assert await database.fetch("SELECT * FROM things") == []


async def test_a_wrong_statement_is_no_outage_and_its_connection_lives(database: Database) -> None:
    await database.execute("INSERT INTO things VALUES (1, 'x')")
    before = await database.fetchrow("SELECT CONNECTION_ID() AS id")
    with pytest.raises(IntegrityError):
        await database.execute("INSERT INTO things VALUES (1, 'x')")
    assert await database.fetchrow("SELECT CONNECTION_ID() AS id") == before


async def test_a_cancelled_statement_never_answers_the_next_one(database: Database) -> None:
    for _ in range(5):
        task = asyncio.create_task(database.fetchrow("SELECT SLEEP(10) AS wrong"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await database.fetchrow("SELECT 2 AS two") == {"two": 2}


async def test_a_statement_that_takes_too_long_is_given_up(
    settings: DatabaseSettings, registry: CollectorRegistry
) -> None:
    made = pool(settings, registry, kept=2, command_timeout=5.0)
    await made.open()
    with pytest.raises(DatabaseUnavailableError):
        await made.execute("DO SLEEP(30)")
    assert await made.fetchrow("SELECT 2 AS two") == {"two": 2}
    await made.close()


async def test_it_outlives_a_restart_of_the_server_without_an_error_afterwards(
    mysql: MySQLServer, database: Database, registry: CollectorRegistry
) -> None:
    await asyncio.gather(*(database.fetchrow("SELECT SLEEP(0.1)") for _ in range(2)))
    mysql.container.kill()
    await asyncio.sleep(0)
    with pytest.raises(DatabaseUnavailableError):
        await database.fetchrow("SELECT 1")
    mysql.container.start()
    await mysql.wait()
    for _ in range(3):
        assert await database.fetchrow("SELECT 1 AS one") == {"one": 1}


async def test_a_rotated_password_is_read_for_the_next_connection(
    mysql: MySQLServer, settings: DatabaseSettings, registry: CollectorRegistry
) -> None:
    made = pool(settings, registry, kept=1)
    await made.open()
    await made.fetchrow("SELECT 1")
    await mysql.as_admin(f"ALTER USER '{settings.user}'@'%' IDENTIFIED BY 'turned'")
    settings.password_file.write_text("turned")
    await asyncio.gather(*(made.fetchrow("SELECT SLEEP(0.1)") for _ in range(3)))
    await made.close()


async def test_a_server_of_another_name_or_another_authority_is_refused(
    mysql: MySQLServer,
    settings: DatabaseSettings,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    stranger = Authority.make(tmp_path_factory.mktemp("stranger"))
    wrong = [
        settings.model_copy(update={"host": "127.0.0.1"}),
        settings.model_copy(update={"ca_file": stranger.ca_file}),
    ]
    for one in wrong:
        with pytest.raises(DatabaseUnavailableError, match="did not let"):
            await connect_within(0.5, one, "test")


async def test_a_server_that_offers_no_tls_is_told_neither_password_nor_statement(
    settings: DatabaseSettings,
) -> None:
    said = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Protocol 10, capabilities without SSL (0x0800), caching_sha2_password.
        body = (
            b"\x0a9.7.4\x00\x01\x00\x00\x00" + b"a" * 8 + b"\x00" + b"\x00\xf7" + b"\x2d\x02\x00"
            b"\xff\xdf"
            + b"\x15"
            + b"\x00" * 10
            + b"b" * 12
            + b"\x00"
            + b"caching_sha2_password\x00"
        )
        writer.write(len(body).to_bytes(3, "little") + b"\x00" + body)
        said.set_result(await reader.read(1000))
        writer.close()

    server = await asyncio.start_server(serve, "localhost", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(Exception, match="offers no TLS") as caught:
        await connect(settings.model_copy(update={"port": port}), "test", connect_timeout=PATIENCE)
    assert is_unavailable(caught.value)
    assert await said == b""
    server.close()


async def test_an_answer_a_moment_ago_is_an_answer(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    await database.ping()
    await database.close()  # from here on nobody can be asked
    await database.ping()

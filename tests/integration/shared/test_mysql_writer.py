"""Writes from asyncio by a driver that blocks: threads, locks, absences, and what is refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry
from pymysql.err import IntegrityError

from services.shared.mysql.blocking import Connection
from services.shared.mysql.connections import connect
from services.shared.mysql.writer import Writer
from services.shared.runtime.databases import DatabaseUnavailableError
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import PATIENCE, Authority, eventually
from tests.integration.servers import MySQLServer

PROBE = "UPDATE things SET v = v WHERE FALSE"


@pytest.fixture
async def settings(mysql: MySQLServer) -> DatabaseSettings:
    made = await mysql.provision("writer_db")
    await mysql.as_admin(
        "CREATE TABLE IF NOT EXISTS things (id INT PRIMARY KEY, v VARCHAR(10))", "writer_db"
    )
    await mysql.as_admin("DELETE FROM things", "writer_db")
    return made.model_copy(update={"pool_size": 2})


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def writer(settings: DatabaseSettings, registry: CollectorRegistry) -> AsyncIterator[Writer]:
    # What is written goes to a disk that others keep busy.
    made = patient(settings, registry)
    yield made
    await made.close()


def patient(settings: DatabaseSettings, registry: CollectorRegistry) -> Writer:
    return Writer(
        settings,
        registry,
        application_name="test",
        probe=PROBE,
        connect_timeout=PATIENCE,
        command_timeout=PATIENCE,
    )


async def ids(mysql: MySQLServer) -> list[int]:
    return [
        row["id"] for row in await mysql.as_admin("SELECT id FROM things ORDER BY id", "writer_db")
    ]


def insert(connection: Connection, number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO things VALUES (%s, 'x')", (number,))


async def test_what_fails_half_way_leaves_nothing(writer: Writer, mysql: MySQLServer) -> None:
    def work(connection: Connection) -> None:
        insert(connection, 1)
        insert(connection, 1)

    with pytest.raises(IntegrityError):
        await writer.run(work)
    assert await ids(mysql) == []

    def better(connection: Connection) -> str:
        insert(connection, 1)
        insert(connection, 2)
        return "done"

    assert await writer.run(better) == "done"
    assert await ids(mysql) == [1, 2]


async def test_a_refused_statement_costs_no_connection(
    writer: Writer, registry: CollectorRegistry
) -> None:
    await writer.execute("INSERT INTO things VALUES (1, 'x')")
    for _ in range(3):
        with pytest.raises(IntegrityError):
            await writer.execute("INSERT INTO things VALUES (1, 'x')")
    labels = {"database": "writer_db", "state": "idle"}
    assert registry.get_sample_value("db_pool_connections", labels) == 1


async def test_as_many_run_at_a_time_as_there_are_connections_and_the_loop_goes_on(
    writer: Writer, registry: CollectorRegistry
) -> None:
    await asyncio.gather(writer.execute("SELECT SLEEP(0.2)"), writer.execute("SELECT SLEEP(0.2)"))
    longest, done = 0.0, asyncio.Event()

    async def watch() -> None:
        nonlocal longest
        while not done.is_set():
            before = time.thread_time()
            await asyncio.sleep(0.01)
            longest = max(longest, time.thread_time() - before)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(writer.execute("SELECT SLEEP(0.5)") for _ in range(6)))
    done.set()
    await watching
    # Of this thread's own processor time: nothing waited in it.
    assert longest < 0.25
    labels = {"database": "writer_db", "state": "idle"}
    assert registry.get_sample_value("db_pool_connections", labels) == 2


async def test_a_connection_that_the_server_closed_is_replaced_without_a_failure(
    writer: Writer, settings: DatabaseSettings, mysql: MySQLServer
) -> None:
    await writer.execute(PROBE)
    for row in await mysql.as_admin(
        f"SELECT id FROM information_schema.processlist WHERE user = '{settings.user}'"
    ):
        await mysql.as_admin(f"KILL {row['id']}")

    async def closed() -> bool:
        return all(held.driver.is_lost() for held in writer._kept._idle)

    await eventually(closed)  # it comes by way of the engine's proxy, which takes its time
    await writer.execute("INSERT INTO things VALUES (3, 'x')")
    assert await ids(mysql) == [3]


async def test_a_deadlock_is_tried_again_from_its_start(
    writer: Writer, settings: DatabaseSettings, mysql: MySQLServer, registry: CollectorRegistry
) -> None:
    for n in range(50):
        await writer.execute(f"INSERT INTO things VALUES ({n}, 'x')")
    other = await connect(settings, "test", connect_timeout=PATIENCE)
    tries = 0

    def work(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        with connection.cursor() as cursor:
            cursor.execute("UPDATE things SET v = 'mine' WHERE id = 1")
            cursor.execute("UPDATE things SET v = 'mine' WHERE id = 40")

    try:
        await other.begin()
        async with other.cursor() as cursor:
            # More than the writer has changed: the server gives up the smaller one.
            await cursor.execute("UPDATE things SET v = 'its' WHERE id >= 10")
            running = asyncio.create_task(writer.run(work))

            async def waits() -> bool:
                found = "SELECT COUNT(*) AS n FROM performance_schema.data_lock_waits"
                return (await mysql.as_admin(found))[0]["n"] > 0

            await eventually(waits)
            await cursor.execute("UPDATE things SET v = 'its' WHERE id = 1")
        await other.commit()
    finally:
        other.close()
    await running
    assert tries >= 2
    assert registry.get_sample_value("mysql_deadlocks_retried_total") == tries - 1
    rows = await mysql.as_admin("SELECT id FROM things WHERE v = 'mine'", "writer_db")
    assert [row["id"] for row in rows] == [1, 40]


async def test_a_server_that_only_lets_read_is_away(writer: Writer, mysql: MySQLServer) -> None:
    await writer.ping()
    await mysql.as_admin("SET GLOBAL super_read_only = ON")
    try:
        with pytest.raises(DatabaseUnavailableError):
            await writer.execute("INSERT INTO things VALUES (9, 'x')")

        async def noticed() -> bool:
            try:
                await writer.ping()
            except DatabaseUnavailableError:
                return True
            return False

        await eventually(noticed)
    finally:
        await mysql.as_admin("SET GLOBAL read_only = OFF")
    await writer.ping()


async def test_a_server_of_another_authority_is_not_talked_to(
    settings: DatabaseSettings,
    registry: CollectorRegistry,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    stranger = Authority.make(tmp_path_factory.mktemp("stranger"))
    made = patient(settings.model_copy(update={"ca_file": stranger.ca_file}), registry)
    try:
        with pytest.raises(DatabaseUnavailableError, match="certificate verify failed"):
            await made.execute(PROBE)
    finally:
        await made.close()


async def test_closing_ends_what_runs_too_long_and_nothing_runs_afterwards(
    writer: Writer,
) -> None:
    running = asyncio.create_task(writer.execute("SELECT SLEEP(25)"))
    await asyncio.sleep(0)
    await eventually(lambda: _in_use(writer))
    await writer.close(grace_seconds=0)
    with pytest.raises(DatabaseUnavailableError):
        await running
    with pytest.raises(DatabaseUnavailableError, match="closed"):
        await writer.execute(PROBE)


async def _in_use(writer: Writer) -> bool:
    return writer._kept.in_use > 0

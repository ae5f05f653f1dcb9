"""MySQL away in every way: the writer keeps its place in the group, and loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from services.shared.mysql.connections import connect, is_unavailable
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.async_writer.conftest import UNHURRIED, StartWriter, retried
from tests.integration.async_writer.points import TOGETHER, Sender, Table
from tests.integration.authority import PATIENCE
from tests.integration.kafka_container import KafkaServer
from tests.integration.processes import ServiceProcess
from tests.integration.servers import MySQLServer, eventually

Away = Callable[[MySQLServer], "AbstractAway"]
AbstractAway = Awaitable[Callable[[], Awaitable[None]]]


async def killed(server: MySQLServer) -> Callable[[], Awaitable[None]]:
    server.container.kill()

    async def back() -> None:
        server.container.start()
        await server.wait()

    return back


async def frozen(server: MySQLServer) -> Callable[[], Awaitable[None]]:
    server.container.pause()

    async def back() -> None:
        server.container.unpause()
        await server.wait()

    return back


async def read_only(server: MySQLServer) -> Callable[[], Awaitable[None]]:
    await server.as_admin("SET GLOBAL super_read_only = ON")

    async def back() -> None:
        await server.as_admin("SET GLOBAL read_only = OFF")

    return back


@pytest.mark.parametrize("away", [killed, frozen, read_only])
async def test_a_writer_waits_for_mysql_without_leaving_its_group_or_losing_anything(
    start_writer: StartWriter,
    sender: Sender,
    table: Table,
    healthy_mysql: MySQLServer,
    away: Away,
) -> None:
    writer = start_writer(**UNHURRIED)
    sender.point("patient", 1, 1)
    sender.flush()
    await eventually(table.equals(sender))
    await eventually(writer.ready)
    rebalances = await writer.metric("kafka_consumer_rebalances_total")
    back = await away(healthy_mysql)
    for n in range(1200):
        sender.point(f"patient-{n % 60}", n, n + 2, second=n // 60)
    sender.flush()
    await eventually(lambda: retried(writer, 2))
    await eventually(lambda: says(writer, "/ready", 503))
    assert await says(writer, "/health", 200)
    await back()
    await eventually(writer.ready)
    await eventually(table.equals(sender))
    assert await writer.metric("kafka_consumer_rebalances_total") == rebalances
    assert writer.terminate() == 0


async def test_a_writer_told_to_stop_while_mysql_is_away_ends_at_once_and_the_next_one_writes(
    start_writer: StartWriter, sender: Sender, table: Table, healthy_mysql: MySQLServer
) -> None:
    writer = start_writer(**UNHURRIED)
    await eventually(writer.ready)
    healthy_mysql.container.kill()
    for n in range(100):
        sender.point(f"left-behind-{n}", n, 1)
    sender.flush()
    await eventually(lambda: retried(writer, 2))
    assert writer.terminate() == 0
    healthy_mysql.container.start()
    await healthy_mysql.wait()
    start_writer("writer-2", **UNHURRIED)
    await eventually(table.equals(sender))


async def test_a_writer_waits_while_somebody_else_has_all_connections(
    start_writer: StartWriter,
    sender: Sender,
    table: Table,
    healthy_mysql: MySQLServer,
    telemetry: DatabaseSettings,
) -> None:
    for n in range(100):
        sender.point(f"crowded-{n}", n, 1)
    sender.flush()
    async with all_connections(healthy_mysql, telemetry):
        writer = start_writer(**UNHURRIED)
        await eventually(lambda: retried(writer, 2))
        assert await says(writer, "/ready", 503)
        assert await says(writer, "/health", 200)

    async def written() -> bool:
        try:
            return await table.equals(sender)()
        except Exception as error:
            # Those that were let go just now are counted until the server has got round to them.
            if not is_unavailable(error):
                raise
            return False

    await eventually(written)
    await eventually(writer.ready)


async def test_a_deadlock_is_tried_again_and_loses_nothing(
    start_writer: StartWriter,
    table: Table,
    mysql: MySQLServer,
    telemetry: DatabaseSettings,
    kafka_server: KafkaServer,
) -> None:
    sender = Sender(kafka_server, **TOGETHER)
    for n in range(100):
        sender.point(f"locked-{n:03}", 1, 1, partition=0)
    sender.flush()
    writer = start_writer(**UNHURRIED)
    await eventually(table.equals(sender))
    other = await connect(telemetry, "test", connect_timeout=PATIENCE)
    try:
        await other.begin()
        async with other.cursor() as cursor:
            # More than the writer will have changed: the server gives up the smaller one.
            await cursor.execute("UPDATE telemetry SET value = -1 WHERE device_id >= 'locked-010'")
            # In one statement: it has the lock of the first when it waits for that of the second.
            for n in (5, 50):
                sender.point(f"locked-{n:03}", 2, 2, partition=0)
            sender.flush()

            async def waits() -> bool:
                rows = await mysql.as_admin(
                    "SELECT COUNT(*) AS n FROM performance_schema.data_lock_waits"
                )
                return rows[0]["n"] > 0

            await eventually(waits)
            await cursor.execute("UPDATE telemetry SET value = -1 WHERE device_id = 'locked-005'")
        await other.rollback()
    finally:
        other.close()
    await eventually(table.equals(sender))
    assert await writer.metric("mysql_deadlocks_retried_total") >= 1
    assert await writer.metric("async_writer_points_dead_total") == 0


async def test_a_lock_that_somebody_holds_for_long_is_waited_for(
    start_writer: StartWriter, sender: Sender, table: Table, telemetry: DatabaseSettings
) -> None:
    sender.point("held", 1, 1)
    sender.flush()
    writer = start_writer(**UNHURRIED)
    await eventually(table.equals(sender))
    other = await connect(telemetry, "test", connect_timeout=PATIENCE)
    try:
        await other.begin()
        async with other.cursor() as cursor:
            await cursor.execute("UPDATE telemetry SET value = -1")
        sender.point("held", 2, 2)
        sender.flush()
        await eventually(lambda: retried(writer, 1))
        await other.rollback()
    finally:
        other.close()
    await eventually(table.equals(sender))


async def says(writer: ServiceProcess, path: str, status: int) -> bool:
    response = await writer.get(path)
    return response is not None and response.status_code == status


@asynccontextmanager
async def all_connections(server: MySQLServer, settings: DatabaseSettings) -> AsyncIterator[None]:
    """Have every connection that the server gives, also those that are on their way out."""
    (row,) = await server.as_admin("SELECT @@max_connections AS most")
    taken = 0
    async with AsyncExitStack() as held:

        async def all_of_them() -> bool:
            nonlocal taken
            while taken < row["most"]:
                try:
                    connection = await connect(settings, "test", connect_timeout=PATIENCE)
                except Exception as error:
                    if not is_unavailable(error):
                        raise
                    return False
                held.callback(connection.close)
                taken += 1
            return True

        await eventually(all_of_them)
        yield
        await asyncio.sleep(0)

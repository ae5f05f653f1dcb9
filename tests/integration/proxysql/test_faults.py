"""What clients notice when a node, replication or a proxy goes, and that it is over with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from pymysql.constants import ER
from pymysql.err import MySQLError, OperationalError

from components.servers.proxysql.rules import READERS, WRITER
from services.shared.mysql.connections import is_unavailable
from tests.integration.authority import eventually
from tests.integration.proxysql_container import Proxy
from tests.integration.proxysql_platform import REPLICA, SOURCE, Platform, client, run


@dataclass
class Asked:
    """What became of one statement after the other."""

    answers: list[str] = field(default_factory=list[str])
    failures: list[BaseException] = field(default_factory=list[BaseException])


@asynccontextmanager
async def asking(
    platform: Platform, statement: str, proxy: Proxy | None = None
) -> AsyncIterator[Asked]:
    """Asks it again and again meanwhile, each time over a connection of its own."""
    asked, over = Asked(), asyncio.Event()

    async def keep() -> None:
        while not over.is_set():
            try:
                found = await platform.ask(statement, proxy=proxy)
                asked.answers.append(str(found[0]["name"]) if found else "")
            except (MySQLError, OSError) as error:
                asked.failures.append(error)

    task = asyncio.create_task(keep())
    try:
        yield asked
    finally:
        over.set()
        await task


async def answered(platform: Platform, statement: str, seconds: float = 60) -> float:
    """Seconds until it is."""
    began = time.monotonic()

    async def once() -> bool:
        try:
            await platform.ask(statement)
        except (MySQLError, OSError):
            return False
        return True

    await eventually(once, seconds)
    return time.monotonic() - began


async def left(platform: Platform, hostgroup: int, host: str) -> None:
    async def gone() -> bool:
        return host not in platform.proxy.online(hostgroup)

    await eventually(gone)


@pytest.mark.parametrize("how", ["SQL_THREAD", "IO_THREAD"])
async def test_a_replica_that_stopped_following_answers_no_reads_until_it_follows(
    healthy: Platform, how: str
) -> None:
    await healthy.replica.as_admin(f"STOP REPLICA {how}")
    try:
        await left(healthy, READERS, REPLICA)
        async with asking(healthy, "SELECT name FROM node") as asked:
            await asyncio.sleep(0)

            async def enough() -> bool:
                return len(asked.answers) >= 10

            await eventually(enough)
        assert set(asked.answers) == {"source"}
        assert asked.failures == []
    finally:
        # As its start script does: the password is kept in memory alone.
        secret = healthy.replication.decode()
        own = f" USER = 'replication' PASSWORD = '{secret}'" if how == "IO_THREAD" else ""
        await healthy.replica.as_admin(f"START REPLICA {how}{own}")
    await healthy.whole()
    (row,) = await healthy.ask("SELECT name FROM node")
    assert row["name"] == "replica"


async def test_a_replica_that_is_killed_is_left_for_the_source(healthy: Platform) -> None:
    async with asking(healthy, "SELECT name FROM node") as asked:

        async def answers(name: str) -> bool:
            return name in asked.answers

        await eventually(lambda: answers("replica"))
        healthy.replica.container.kill()
        await eventually(lambda: answers("source"))
    assert all(is_unavailable(error) for error in asked.failures)


async def test_reads_go_on_while_the_source_is_away_and_writes_after_it(healthy: Platform) -> None:
    healthy.source.container.kill()
    with pytest.raises((MySQLError, OSError)) as raised:
        await healthy.ask("INSERT INTO t VALUES (1, 'a')")
    assert is_unavailable(raised.value), raised.value
    for _ in range(10):
        (row,) = await healthy.ask("SELECT name FROM node")
        assert row["name"] == "replica"
    healthy.source.container.start()
    await healthy.source.wait()
    await answered(healthy, "INSERT INTO t VALUES (2, 'b')")


async def test_a_proxy_that_is_killed_leaves_its_clients_to_the_other_one(
    healthy: Platform,
) -> None:
    one, other = healthy.proxies
    async with client(healthy.settings(one)) as connection:
        await run(connection, "BEGIN")
        await run(connection, "INSERT INTO t VALUES (1, 'lost')")
        one.container.kill()
        with pytest.raises((MySQLError, OSError)) as raised:
            await run(connection, "COMMIT")
        assert is_unavailable(raised.value)
    assert await healthy.ask("SELECT /* writer */ value FROM t", proxy=other) == []
    await healthy.ask("INSERT INTO t VALUES (1, 'kept')", proxy=other)
    one.container.start()
    await one.wait()


async def test_a_proxy_that_is_stopped_lets_a_transaction_end(healthy: Platform) -> None:
    one, _ = healthy.proxies
    async with client(healthy.settings(one)) as connection:
        await run(connection, "BEGIN")
        await run(connection, "INSERT INTO t VALUES (1, 'kept')")
        stopping = asyncio.create_task(asyncio.to_thread(one.container.stop, 60))

        async def drains() -> bool:
            return not one.ready()

        await eventually(drains)
        await run(connection, "COMMIT")
        await stopping
    assert await healthy.ask("SELECT /* writer */ value FROM t", proxy=healthy.proxies[1]) == [
        {"value": "kept"}
    ]


async def test_connections_that_somebody_else_used_up_come_back_to_clients(
    healthy: Platform,
) -> None:
    async with client(healthy.source.admin) as admin:
        (limit,) = await run(admin, "SELECT @@max_connections AS most")
        await run(admin, "SET GLOBAL max_connections = 20")
        # The proxies' own, so that they have to make new ones.
        rows = await run(
            admin,
            f"SELECT id FROM information_schema.processlist WHERE user = '{healthy.account.name}'",
        )
        for row in rows:
            await run(admin, f"KILL {row['id']}")
        held = []
        try:
            while True:
                made = client(healthy.source.admin)
                await made.__aenter__()
                held.append(made)
        except OperationalError as error:
            if error.args[0] != ER.CON_COUNT_ERROR:
                raise
        try:
            with pytest.raises(MySQLError) as raised:
                await healthy.ask("INSERT INTO t VALUES (1, 'a')")
            assert "Too many connections" in str(raised.value) or raised.value.args[0] == 9001
        finally:
            for made in held:
                await made.__aexit__(None, None, None)
            await run(admin, f"SET GLOBAL max_connections = {limit['most']}")
    await answered(healthy, "INSERT INTO t VALUES (2, 'b')")
    await healthy.whole()


async def test_a_source_that_takes_no_writes_any_more_gets_none(healthy: Platform) -> None:
    await healthy.source.as_admin("SET GLOBAL super_read_only = ON")
    try:
        await left(healthy, WRITER, SOURCE)
        with pytest.raises(MySQLError):
            await healthy.ask("INSERT INTO t VALUES (1, 'a')")
    finally:
        await healthy.source.as_admin("SET GLOBAL super_read_only = OFF")
        await healthy.source.as_admin("SET GLOBAL read_only = OFF")
    await healthy.whole()
    await answered(healthy, "INSERT INTO t VALUES (2, 'b')")

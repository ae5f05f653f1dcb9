"""Replicas as the cluster starts them: copies that follow, read-only, and say when they do not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from pymysql.err import OperationalError

from components.servers.mysql import config
from tests.integration.authority import Authority, eventually
from tests.integration.containers import Containers
from tests.integration.servers import MySQLServer, start_mysql


@dataclass
class Pair:
    source: MySQLServer
    replica: MySQLServer


async def value(server: MySQLServer) -> object:
    rows = await server.as_admin("SELECT v FROM t ORDER BY id DESC LIMIT 1", "copied")
    return rows[0]["v"]


@pytest.fixture(scope="module")
async def pair(containers: Containers, authority: Authority) -> AsyncIterator[Pair]:
    """The replica starts when the source has data that no binary log holds any more."""
    passwords = {
        path: authority.secret("mysql").read_bytes()
        for path in (config.ADMIN_PATH, config.HEALTH_PATH, config.REPLICATION_PATH)
    }
    nodes: Any = {"source": "client-database-0", "passwords": passwords}
    source = start_mysql(containers, authority, name="mysql-source", **nodes)
    await source.wait()
    await source.as_admin("CREATE DATABASE copied")
    await source.as_admin("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))", "copied")
    await source.as_admin("INSERT INTO t VALUES (1, 'before')", "copied")
    await source.as_admin("FLUSH BINARY LOGS")
    await source.as_admin("PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY")
    replica = start_mysql(containers, authority, name="mysql-replica", ordinal=1, **nodes)
    await replica.wait()
    yield Pair(source, replica)
    source.container.remove()
    replica.container.remove()


async def following(pair: Pair) -> None:
    async def ready() -> bool:
        return pair.replica.ready("replicating")

    await eventually(ready)


async def test_a_replica_begins_with_what_the_source_had_and_follows_it(pair: Pair) -> None:
    await following(pair)
    assert await value(pair.replica) == "before"
    await pair.source.as_admin("INSERT INTO t VALUES (2, 'after')", "copied")

    async def arrived() -> bool:
        return await value(pair.replica) == "after"

    await eventually(arrived)


async def test_a_replica_takes_no_write_of_anybody_even_after_a_restart(pair: Pair) -> None:
    for _ in range(2):
        with pytest.raises(OperationalError, match="super-read-only"):
            await pair.replica.as_admin("INSERT INTO t VALUES (9, 'wrong')", "copied")
        pair.replica.container.kill()
        pair.replica.container.start()
        await pair.replica.wait()
    await following(pair)


async def test_a_replica_that_stopped_or_broke_is_not_ready_but_has_started(pair: Pair) -> None:
    await following(pair)
    await pair.replica.as_admin("STOP REPLICA SQL_THREAD")
    assert not pair.replica.ready("replicating")
    assert pair.replica.ready()
    await pair.replica.as_admin("START REPLICA SQL_THREAD")
    await following(pair)
    # A row that the source will make, too.
    await pair.replica.as_admin("SET GLOBAL super_read_only = OFF")
    await pair.replica.as_admin("INSERT INTO t VALUES (100, 'stray')", "copied")
    await pair.replica.as_admin("SET GLOBAL super_read_only = ON")
    await pair.source.as_admin("INSERT INTO t VALUES (100, 'right')", "copied")

    async def broken() -> bool:
        return not pair.replica.ready("replicating")

    await eventually(broken)
    assert pair.replica.ready()

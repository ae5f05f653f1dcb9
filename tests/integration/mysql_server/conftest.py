"""A source and a read-only copy, as the cluster starts them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pymysql.err import OperationalError

from components.servers.mysql import config
from services.provision import mysql_heartbeat
from tests.integration.authority import Authority, eventually
from tests.integration.containers import Containers
from tests.integration.servers import MySQLServer, start_mysql

MAX_LAG_SECONDS = 2
"""How late the copy may be and still be ready."""


@dataclass
class Pair:
    source: MySQLServer
    copy: MySQLServer

    def ready(self) -> bool:
        """What the cluster's probe says of the copy."""
        return self.copy.ready("following")

    async def is_ready(self) -> bool:
        return self.ready()

    async def is_not_ready(self) -> bool:
        return not self.ready()

    async def has_started(self) -> None:
        """Until the copy says so: its probe may not get an answer in time on a busy machine."""

        async def started() -> bool:
            return self.copy.ready()

        await eventually(started)

    async def late(self) -> bool:
        """What a proxy takes the copy for, which looks at its heartbeat."""
        (row,) = await self.copy.as_admin(
            "SELECT TIMESTAMPDIFF(MICROSECOND, ts, SYSDATE(6)) / 1000000 AS age FROM heartbeat",
            mysql_heartbeat.SCHEMA,
        )
        return row["age"] > MAX_LAG_SECONDS

    async def is_not_late(self) -> bool:
        return not await self.late()

    async def disconnect(self) -> None:
        """Whoever reads the source's log there loses the connection."""
        readers = "SELECT id FROM performance_schema.processlist WHERE user = 'replication'"
        for row in await self.source.as_admin(readers):
            with contextlib.suppress(OperationalError):  # it has ended by itself
                await self.source.as_admin(f"KILL {row['id']}")

    async def following(self) -> None:
        await eventually(self.is_ready)

    async def write(self, value: str) -> None:
        await self.source.as_admin(f"INSERT INTO t (v) VALUES ('{value}')", "copied")

    async def newest(self) -> object:
        """What the copy has."""
        rows = await self.copy.as_admin("SELECT v FROM t ORDER BY id DESC LIMIT 1", "copied")
        return rows[0]["v"]

    async def arrives(self, value: str) -> None:
        async def there() -> bool:
            return await self.newest() == value

        await eventually(there)

    async def in_time(self, value: str, idle: Callable[[], Awaitable[None]] | None = None) -> None:
        """Write something, after waiting for `idle`, that arrives so soon that the copy is ready
        and not late right after it: what a busy machine held up is written again."""
        numbers = itertools.count(1)

        async def arrived_in_time() -> bool:
            if idle is not None:
                await idle()
            text = f"{value} {next(numbers)}"
            await self.write(text)
            await self.arrives(text)
            return self.ready() and not await self.late()

        await eventually(arrived_in_time)


@pytest.fixture(scope="module")
async def pair(containers: Containers, authority: Authority) -> AsyncIterator[Pair]:
    """The copy starts when the source has data that no binary log holds any more."""
    passwords = {
        path: authority.secret("mysql").read_bytes()
        for path in (config.ADMIN_PATH, config.HEALTH_PATH, config.REPLICATION_PATH)
    }
    nodes: Any = {"passwords": passwords, "max_lag_seconds": MAX_LAG_SECONDS}
    host = "client-database-0"
    source = start_mysql(containers, authority, name="mysql-source", hostname=host, **nodes)
    await source.wait()
    await source.as_admin("CREATE DATABASE copied")
    await source.as_admin(f"CREATE DATABASE {mysql_heartbeat.SCHEMA}")
    await source.as_admin(mysql_heartbeat.VIEW)
    columns = "id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20)"
    await source.as_admin(f"CREATE TABLE t ({columns})", "copied")
    await source.as_admin("INSERT INTO t (v) VALUES ('before')", "copied")
    await source.as_admin("FLUSH BINARY LOGS")
    await source.as_admin("PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY")
    copy = start_mysql(
        containers,
        authority,
        name="mysql-copy",
        hostname="client-database-readers-0",
        source=host,
        **nodes,
    )
    await copy.wait()
    yield Pair(source, copy)
    source.container.remove()
    copy.container.remove()

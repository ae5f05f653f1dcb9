"""What ProxySQL adds to a statement, and how few connections it makes of many clients.

The rival is MySQL itself, asked the same in the same run: one statement here, the next one there,
so that both have the same machine. Then 200 clients at once, each over its own connection, who
think 20 ms between statements, one in ten of which writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from loadtests.percentiles import percentile
from services.shared.mysql.connections import Connection
from services.shared.runtime.settings import DatabaseSettings
from tests.bench.machine import Report
from tests.integration.authority import Authority
from tests.integration.containers import Containers
from tests.integration.proxysql_container import VARIABLE, given_image
from tests.integration.proxysql_platform import DATABASE, Platform, client, opened
from tests.integration.proxysql_platform import run as ask

ROWS = 1_000
PAIRS = 2_000
CLIENTS = 200
THINK_SECONDS = 0.02
CONNECTIONS = 6
"""For writes to the source, reads from it, and reads from the copy: 18, and the second proxy's."""
SECONDS = 20
STATEMENTS = {
    "read by key from the source": "SELECT /* writer */ value FROM t WHERE id = {}",
    "update by key": "UPDATE t SET value = 'other' WHERE id = {}",
}


@dataclass
class Side:
    milliseconds: list[float] = field(default_factory=list[float])
    failed: int = 0


async def _timed(connection: Connection, statement: str, side: Side) -> None:
    began = time.perf_counter()
    try:
        await ask(connection, statement)
    except Exception:
        side.failed += 1
    side.milliseconds.append((time.perf_counter() - began) * 1000)


async def _pairs(platform: Platform, report: Report) -> None:
    chosen = random.Random(1)
    for name, text in STATEMENTS.items():
        direct, proxied = Side(), Side()
        async with client(platform.direct) as one, client(platform.settings()) as other:
            for number in range(PAIRS):
                statement = text.format(chosen.randrange(ROWS))
                sides = [(one, direct), (other, proxied)]
                for connection, side in sides if number % 2 else reversed(sides):
                    await _timed(connection, statement, side)
        median = percentile(direct.milliseconds, 0.5)
        for what, side in (("MySQL", direct), ("ProxySQL", proxied)):
            report.add(
                f"{name}, {what}",
                p50_ms=round(percentile(side.milliseconds, 0.5), 3),
                p99_ms=round(percentile(side.milliseconds, 0.99), 3),
                added_p50_ms=round(percentile(side.milliseconds, 0.5) - median, 3),
                broken=side.failed,
            )


async def _sessions(platform: Platform) -> int:
    """Connections of the clients' account on both servers."""
    count = "SELECT COUNT(*) AS n FROM information_schema.processlist WHERE user = '{}'"
    found = 0
    for server in (platform.source, platform.replica):
        (row,) = await server.as_admin(count.format(platform.account.name))
        found += int(row["n"])
    return found


async def _many(platform: Platform, settings: DatabaseSettings, what: str, report: Report) -> None:
    side, most = Side(), 0
    until = time.perf_counter() + SECONDS

    async def one(seed: int) -> None:
        chosen = random.Random(seed)
        async with client(settings) as connection:
            ready.append(seed)
            await everyone.wait()
            while time.perf_counter() < until:
                row = chosen.randrange(ROWS)
                reads = chosen.random() > 0.1
                text = "SELECT value FROM t WHERE id = {}" if reads else STATEMENTS["update by key"]
                await _timed(connection, text.format(row), side)
                await asyncio.sleep(THINK_SECONDS)

    ready: list[int] = []
    everyone = asyncio.Event()
    tasks = [asyncio.create_task(one(number)) for number in range(CLIENTS)]
    while len(ready) < CLIENTS and not any(task.done() for task in tasks):
        await asyncio.sleep(0.1)
    until = time.perf_counter() + SECONDS
    everyone.set()
    while time.perf_counter() < until:
        most = max(most, await _sessions(platform))
        await asyncio.sleep(1)
    done = await asyncio.gather(*tasks, return_exceptions=True)
    refused = sum(isinstance(one, BaseException) for one in done)
    report.add(
        f"{CLIENTS} clients, {what}",
        statements=len(side.milliseconds),
        statements_per_second=round(len(side.milliseconds) / SECONDS),
        p50_ms=round(percentile(side.milliseconds, 0.5), 2),
        p99_ms=round(percentile(side.milliseconds, 0.99), 2),
        server_connections=most,
        broken=side.failed + refused,
    )


async def _bench() -> int:
    report = Report("proxysql")
    containers = Containers()
    try:
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority.make(Path(folder))
            async with opened(containers, authority, connections=CONNECTIONS) as platform:
                rows = ", ".join(f"({number}, 'one')" for number in range(ROWS))
                await platform.source.as_admin(f"INSERT INTO t VALUES {rows}", DATABASE)
                await platform.source.as_admin(f"SET GLOBAL max_connections = {CLIENTS + 50}")
                await _pairs(platform, report)
                await _many(platform, platform.settings(), "ProxySQL", report)
                await _many(platform, platform.direct, "MySQL, the source alone", report)
    finally:
        with contextlib.suppress(Exception):
            containers.close()
    return report.close()


def run() -> int:
    """0; 1 when a statement failed; 2 where there is no image."""
    if given_image() is None:
        print(f"{VARIABLE} names no image of ProxySQL, and nothing here builds one")  # noqa: T201
        return 2
    return asyncio.run(_bench())

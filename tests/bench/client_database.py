"""How long the client database takes while 1,000 clients are looked up a second.

Through the driver, the pool and the statements of the service, over TLS, in this process: it and
the server share the machine. Open loop: a statement is sent when its time has come, whatever became
of those before, and its time counts from then. Where others leave this process less of a processor
than a look-up takes, all wait longer and longer. The rivals are the same driver with its own pool,
at the same pace, and without any: a connection for every look-up, one after the other.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomysql
import uvloop
from prometheus_client import CollectorRegistry

from loadtests.percentiles import percentile
from services.auth_service.store import ClientStore
from services.contracts.ids import new_id
from services.shared.mysql.connections import connect
from services.shared.mysql.database import Database
from services.shared.runtime.databases import tls_context
from services.shared.runtime.settings import DatabaseSettings
from tests.bench.auth_tokens import database
from tests.bench.machine import Report
from tests.integration.containers import Containers

CLIENTS = 10_000
HASH = "$2b$10$" + "x" * 53
POOL = 25


@dataclass
class Kind:
    """One sort of statement: how many a second, and how long each took."""

    name: str
    per_second: int
    most_ms: float
    """What is asked of the 99th percentile."""
    act: Callable[[], Awaitable[object]]
    milliseconds: list[float] = field(default_factory=list)
    failed: int = 0


async def _paced(kind: Kind, seconds: int) -> None:
    began = time.perf_counter()
    tasks: set[asyncio.Task[None]] = set()

    async def one(due: float) -> None:
        try:
            await kind.act()
        except Exception:
            kind.failed += 1
        kind.milliseconds.append((time.perf_counter() - due) * 1000)

    for number in range(kind.per_second * seconds):
        due = began + number / kind.per_second
        await asyncio.sleep(due - time.perf_counter())
        task = asyncio.create_task(one(due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


async def _fill(store: ClientStore, settings: DatabaseSettings) -> list[str]:
    ids = [new_id() for _ in range(CLIENTS)]
    connection = await connect(settings, "bench")
    now = "UTC_TIMESTAMP(6)"
    async with connection.cursor() as cursor:
        await connection.begin()
        for first in range(0, CLIENTS, 1000):
            part = ids[first : first + 1000]
            rows = ", ".join(
                f"('{one}', 'bench', 'data:read', {number % 10 > 0}, {now}, {now})"
                for number, one in enumerate(part)
            )
            await cursor.execute(
                "INSERT INTO clients (client_id, client_name, scope, is_active, created_at,"
                f" updated_at) VALUES {rows}"
            )
            rows = ", ".join(f"('{one}', 1, '{HASH}', 1, {now}, NULL)" for one in part)
            await cursor.execute(
                "INSERT INTO client_secrets (client_id, slot, secret_hash, fingerprint, created_at,"
                f" expires_at) VALUES {rows}"
            )
        await connection.commit()
    connection.close()
    return ids


async def _bench(seconds: int) -> int:
    report = Report("client-database")
    containers = Containers()
    try:
        with tempfile.TemporaryDirectory() as folder:
            async with database(containers, Path(folder)) as given:
                settings = given.model_copy(update={"pool_size": POOL})
                pool = Database(settings, CollectorRegistry(), application_name="bench")
                await pool.open()
                store = ClientStore(pool)
                ids = await _fill(store, settings)
                await _pooled("", _kinds(store, ids), settings, report, seconds)
                await pool.close()
                async with _DriversPool.opened(settings) as drivers:
                    rival: Any = ClientStore(drivers)  # pyright: ignore[reportArgumentType]
                    kinds = _kinds(rival, ids)[:1]
                    await _pooled("the driver's own pool: ", kinds, settings, report, seconds)
                await _without_a_pool(settings, ids, report)
    finally:
        containers.close()
    return report.close()


async def _pooled(
    side: str, kinds: list[Kind], settings: DatabaseSettings, report: Report, seconds: int
) -> None:
    await asyncio.gather(*(_paced(kind, 3) for kind in kinds))
    for kind in kinds:
        kind.milliseconds.clear()
    opened, processor = await _opened(settings), time.process_time()
    await asyncio.gather(*(_paced(kind, seconds) for kind in kinds))
    processor = time.process_time() - processor
    opened = await _opened(settings) - opened - 1
    for kind in kinds:
        p99 = percentile(kind.milliseconds, 0.99)
        report.add(
            f"{side}{kind.name}, {kind.per_second} a second",
            requests=len(kind.milliseconds),
            p50_ms=round(percentile(kind.milliseconds, 0.5), 2),
            p99_ms=round(p99, 2),
            asked_p99_ms=kind.most_ms,
            held=p99 <= kind.most_ms,
            broken=kind.failed,
        )
    number = sum(len(kind.milliseconds) for kind in kinds)
    report.add(
        f"{side}all of them",
        processor_us_each=round(processor / number * 1e6),
        connections_opened=opened,
    )


def _kinds(store: ClientStore, ids: list[str]) -> list[Kind]:
    chosen = random.Random(1)
    return [
        Kind("look-up by key", 1000, 5, lambda: store.client(chosen.choice(ids))),
        Kind("indexed query", 20, 10, lambda: store.list(chosen.choice(ids), 50, active=False)),
        Kind("insert", 20, 10, lambda: store.register(new_id(), "bench", "data:read", HASH, 1)),
        Kind("update", 20, 15, lambda: store.deactivate(chosen.choice(ids))),
    ]


async def _opened(settings: DatabaseSettings) -> int:
    """Connections that the server has taken so far, this one included."""
    connection = await connect(settings, "bench")
    async with connection.cursor() as cursor:
        await cursor.execute("SHOW GLOBAL STATUS LIKE 'Connections'")
        [row] = await cursor.fetchall()
    connection.close()
    return int(row["Value"])


class _DriversPool:
    """As much of Database as a look-up takes, on aiomysql's pool."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: DatabaseSettings) -> AsyncIterator[_DriversPool]:
        pool = await aiomysql.create_pool(
            maxsize=POOL,
            pool_recycle=300,
            host=settings.host,
            port=settings.port,
            user=settings.user,
            password=settings.password_file.read_text(),
            db=settings.name,
            ssl=tls_context(str(settings.ca_file)),
            autocommit=True,
            cursorclass=aiomysql.DictCursor,
        )
        try:
            yield cls(pool)
        finally:
            pool.terminate()
            await pool.wait_closed()

    async def fetch(self, query: str, *args: object) -> list[dict[str, Any]]:
        async with self._pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(query, args)
            return list(await cursor.fetchall())


async def _without_a_pool(settings: DatabaseSettings, ids: list[str], report: Report) -> None:
    taken: list[float] = []
    until = time.perf_counter() + 3
    while time.perf_counter() < until:
        began = time.perf_counter()
        connection = await connect(settings, "bench")
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT scope FROM clients WHERE client_id = %s", ids[0])
            await cursor.fetchall()
        connection.close()
        taken.append((time.perf_counter() - began) * 1000)
    report.add(
        "a connection for every look-up, one after the other",
        requests=len(taken),
        p50_ms=round(percentile(taken, 0.5), 2),
        p99_ms=round(percentile(taken, 0.99), 2),
    )


def run(seconds: int = 15) -> int:
    """All at once, then the rivals. On the loop that the service has."""
    return uvloop.run(_bench(seconds))

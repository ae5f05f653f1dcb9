"""How long an outbox event takes from its commit to Kafka, and how fast a backlog drains.

Real PostgreSQL and Kafka in containers, one relay process with its default settings. Writers are
open-loop: an event is due at its time whether or not earlier ones are done. Two upper bounds of
commit to acknowledgement are given, both on one machine's clock: until the row is marked
(acknowledged, then one more statement) and until an independent consumer has the message.
Loss and order per key are checked; a run that loses or reorders exits with 1.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from infra.model.records import RECORDS
from services.contracts.ids import new_id
from services.contracts.topics import RESOURCE_UPDATED
from services.migrate.engines import ENGINES
from services.migrate.runner import migrate
from services.shared.outbox.lanes import lane_of
from services.shared.postgres.database import connect
from services.shared.runtime import logging
from services.shared.runtime.settings import DatabaseSettings
from tests.bench.machine import Report
from tests.integration.containers import Containers
from tests.integration.kafka_container import (
    RELAY,
    KafkaServer,
    Reader,
    headers_of,
    start_kafka,
)
from tests.integration.outbox_relay.outbox import versions_by_key
from tests.integration.processes import ServiceProcess, environment
from tests.integration.servers import Authority, start_postgres

WRITERS = 8
KEYS = 500
RATE = 1000
BACKLOG = 50_000
PAYLOAD = '{"id": "k", "name": "benchmark", "description": "%s", "status": "active"}' % ("x" * 150)
_WRITE = """
WITH e AS (
    INSERT INTO outbox_events (id, lane, aggregate_id, aggregate_version, event_type, payload)
    VALUES ($1, $2::smallint, $3, $4, 'resource.updated', $5::jsonb) RETURNING id)
SELECT pg_notify('outbox', '') FROM e
"""


class Load:
    """Writers with keys of their own, so that versions are counted without a lock."""

    def __init__(self, database: DatabaseSettings) -> None:
        self._database = database
        self.committed: dict[str, float] = {}
        self.versions: dict[str, int] = {}

    async def steady(self, rate: float, seconds: float) -> None:
        start = time.monotonic() + 0.5
        await asyncio.gather(*(self._writer(n, start, rate, seconds) for n in range(WRITERS)))

    async def _writer(self, number: int, start: float, rate: float, seconds: float) -> None:
        connection = await connect(self._database, "bench")
        keys = [f"bench-{n}" for n in range(number, KEYS, WRITERS)]
        step = WRITERS / rate
        for n in range(int(seconds * rate / WRITERS)):
            await asyncio.sleep(max(0.0, start + n * step - time.monotonic()))
            key = keys[n % len(keys)]
            self.versions[key] = self.versions.get(key, 0) + 1
            event_id = new_id()
            await connection.fetch(_WRITE, event_id, lane_of(key), key, self.versions[key], PAYLOAD)
            self.committed[event_id] = time.time()
        await connection.close()

    async def backlog(self, count: int) -> None:
        connection = await connect(self._database, "bench")
        rows = []
        for n in range(count):
            key = f"bench-{n % KEYS}"
            self.versions[key] = self.versions.get(key, 0) + 1
            rows.append((new_id(), lane_of(key), key, self.versions[key], PAYLOAD))
        await connection.executemany(
            "INSERT INTO outbox_events (id, lane, aggregate_id, aggregate_version, event_type,"
            " payload) VALUES ($1, $2, $3, $4, 'resource.updated', $5::jsonb)",
            rows,
        )
        await connection.close()


async def consume(reader: Reader, arrived: dict[str, float]) -> None:
    seen = 0
    while True:
        await reader.take(0.02)
        now = time.time()
        for message in reader.messages[seen:]:
            arrived.setdefault(headers_of(message)["event_id"], now)
        seen = len(reader.messages)


def quantiles(values: list[float]) -> dict[str, float]:
    """In milliseconds."""
    cuts = statistics.quantiles(values, n=1000)
    shown = {f"p{q:g}_ms": cuts[int(q * 10) - 1] * 1000 for q in (50, 95, 99, 99.9)}
    return {name: round(value, 1) for name, value in shown.items()}


async def until_sent(database: DatabaseSettings, seconds: float) -> None:
    connection = await connect(database, "bench")
    deadline = time.monotonic() + seconds
    query = "SELECT EXISTS (SELECT 1 FROM outbox_events WHERE processed_at IS NULL)"
    while await connection.fetchval(query):
        assert time.monotonic() < deadline, "the relay did not keep up"
        await asyncio.sleep(0.05)
    await connection.close()


async def _bench(containers: Containers, folder: Path, report: Report, seconds: float) -> int:
    authority = Authority.make(folder)
    postgres = start_postgres(containers, authority)
    kafka = start_kafka(containers, authority)
    await postgres.wait()
    database = await postgres.provision("restdb_bench")
    await migrate("restdb", RECORDS.owner("restdb"), database, ENGINES["postgres"])
    await asyncio.to_thread(kafka.provision)
    reader = kafka.reader([RESOURCE_UPDATED])
    load, arrived = Load(database), dict[str, float]()
    consuming = asyncio.create_task(consume(reader, arrived))
    relay = start_relay(database, kafka, folder)
    try:
        while not await relay.ready():
            await asyncio.sleep(0.1)
        await load.steady(200, 5)  # warm-up, not counted
        load.committed.clear()
        before = await relay.metric("process_cpu_seconds_total")
        await load.steady(RATE, seconds)
        await until_sent(database, 60)
        spent = await relay.metric("process_cpu_seconds_total") - before
        await asyncio.sleep(1)
        marked = await marks(database)
        steady = f"{RATE} events/s from {WRITERS} writers"
        known = [max(0, marked[i] - t) for i, t in load.committed.items()]
        report.add(f"{steady}, commit to marked", **quantiles(known))
        seen = [arrived[i] - t for i, t in load.committed.items()]
        report.add(
            f"{steady}, commit to consumed",
            **quantiles(seen),
            relay_cores=round(spent / seconds, 2),
        )
        relay.terminate()
        await load.backlog(BACKLOG)
        relay = start_relay(database, kafka, folder)
        while not await relay.ready():
            await asyncio.sleep(0.05)
        started = time.monotonic()
        await until_sent(database, 120)
        rate = BACKLOG / (time.monotonic() - started)
        stages = {
            f"{stage}_seconds": await relay.metric(f"outbox_{stage}_duration_seconds_sum")
            for stage in ("claim", "publish", "mark")
        }
        report.add(f"a backlog of {BACKLOG} events", events_per_second=round(rate, 1), **stages)
        await reader.wait(sum(load.versions.values()))
    finally:
        relay.kill()
        consuming.cancel()
    found = versions_by_key(reader.messages, set(load.versions))
    wrong = [k for k, v in load.versions.items() if found.get(k) != list(range(1, v + 1))]
    repeated = len(reader.messages) - sum(load.versions.values())
    report.say(f"lost or reordered keys: {len(wrong)} of {len(load.versions)}; repeats: {repeated}")
    return 1 if wrong else 0


async def marks(database: DatabaseSettings) -> dict[str, float]:
    connection = await connect(database, "bench")
    rows = await connection.fetch(
        "SELECT id, extract(epoch FROM processed_at)::float8 AS at FROM outbox_events"
    )
    await connection.close()
    return {row["id"]: row["at"] for row in rows}


def start_relay(database: DatabaseSettings, kafka: KafkaServer, folder: Path) -> ServiceProcess:
    variables = environment(
        "outbox-relay-rest", database, kafka.settings(RELAY), RELAY_ID="bench", LOG_LEVEL="WARNING"
    )
    return ServiceProcess("services.outbox_relay", variables, folder / "relay.log")


def run(seconds: float = 30) -> int:
    """Exit code 1 when an event was lost or reordered."""
    logging.configure("bench", "WARNING")
    report = Report("outbox-latency")
    containers = Containers()
    try:
        with tempfile.TemporaryDirectory() as folder:
            code = asyncio.run(_bench(containers, Path(folder), report, seconds))
    finally:
        containers.close()
    return report.close() or code

"""How long an outbox event takes from its commit to Kafka, and how fast a backlog drains.

    python -m tests.bench.outbox_latency [--rate 1000] [--seconds 30] [--backlog 50000]

Real PostgreSQL and Kafka in containers, one relay process with its default settings. Writers are
open-loop: an event is due at its time whether or not earlier ones are done. Two upper bounds of
commit to acknowledgement are given, both on one machine's clock: until the row is marked
(acknowledged, then one more statement) and until an independent consumer has the message.
Loss and order per key are checked; a run that loses or reorders exits with 1.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
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
from tests.integration.containers import Containers
from tests.integration.kafka_container import (
    PARTITIONS,
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


def quantiles(name: str, values: list[float]) -> None:
    cuts = statistics.quantiles(values, n=1000)
    shown = ", ".join(f"p{q:g} {cuts[int(q * 10) - 1] * 1000:.0f} ms" for q in (50, 95, 99, 99.9))
    print(f"{name}: {shown}, max {max(values) * 1000:.0f} ms ({len(values)} events)")


async def until_sent(database: DatabaseSettings, seconds: float) -> None:
    connection = await connect(database, "bench")
    deadline = time.monotonic() + seconds
    query = "SELECT EXISTS (SELECT 1 FROM outbox_events WHERE processed_at IS NULL)"
    while await connection.fetchval(query):
        assert time.monotonic() < deadline, "the relay did not keep up"
        await asyncio.sleep(0.05)
    await connection.close()


async def bench(options: argparse.Namespace, containers: Containers, folder: Path) -> int:
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
        await load.steady(options.rate, options.seconds)
        await until_sent(database, 60)
        spent = await relay.metric("process_cpu_seconds_total") - before
        await asyncio.sleep(1)
        marked = await marks(database)
        print(
            f"{options.rate:g} events/s for {options.seconds:g} s, {KEYS} keys, {WRITERS} writers;"
            f" relay used {spent / options.seconds:.2f} core"
        )
        quantiles("commit to marked  ", [max(0, marked[i] - t) for i, t in load.committed.items()])
        quantiles("commit to consumed", [arrived[i] - t for i, t in load.committed.items()])
        relay.terminate()
        await load.backlog(options.backlog)
        relay = start_relay(database, kafka, folder)
        while not await relay.ready():
            await asyncio.sleep(0.05)
        started = time.monotonic()
        await until_sent(database, 120)
        rate = options.backlog / (time.monotonic() - started)
        print(f"a backlog of {options.backlog} events drained at {rate:.0f} events/s")
        for stage in ("claim", "publish", "mark"):
            name = f"outbox_{stage}_duration_seconds"
            spent = await relay.metric(f"{name}_sum")
            count = await relay.metric(f"{name}_count")
            print(f"  {stage}: {spent:.2f} s in {count:.0f} batches")
        await reader.wait(sum(load.versions.values()))
    finally:
        relay.kill()
        consuming.cancel()
    found = versions_by_key(reader.messages, set(load.versions))
    wrong = [k for k, v in load.versions.items() if found.get(k) != list(range(1, v + 1))]
    repeated = len(reader.messages) - sum(load.versions.values())
    print(f"lost or reordered keys: {len(wrong)} of {len(load.versions)}; repeats: {repeated}")
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


def main() -> int:
    """Prints the figures with what else ran; exit code 1 when an event was lost or reordered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--backlog", type=int, default=50_000)
    options = parser.parse_args()
    logging.configure("bench", "WARNING")
    containers = Containers()
    others = len(containers.engine.containers.list())
    print(
        f"{os.cpu_count()} cores; load average before: {os.getloadavg()[0]:.1f}; other containers"
        f" running: {others}; PostgreSQL without fsync, 1 Kafka broker, {PARTITIONS} partitions;"
        " writers, consumer, servers and relay on this machine"
    )
    try:
        with tempfile.TemporaryDirectory() as folder:
            return asyncio.run(bench(options, containers, Path(folder)))
    finally:
        containers.close()


if __name__ == "__main__":
    sys.exit(main())

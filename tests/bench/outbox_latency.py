"""How long an outbox event takes from its commit to Kafka, and how fast a backlog drains.

Real PostgreSQL and Kafka in containers; the sides take turns, one process each: our relay with its
default settings, and one made of a library (outbox_rival). Beside either, another of our relays
works on another database. Two upper bounds of commit to acknowledgement are given, both on one
machine's clock: until the row is marked (acknowledged, then one more statement) and until an
independent consumer has the message. A rate of events per core counts the processor's time of the
relay's process alone, in user and kernel. Loss and order per key are checked; when our relay loses
or reorders, the exit code is 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.model.records import RECORDS
from services.contracts.topics import RESOURCE_UPDATED
from services.migrate.engines import ENGINES
from services.migrate.runner import migrate
from services.shared.postgres.database import connect
from services.shared.runtime import logging
from services.shared.runtime.settings import DatabaseSettings
from tests.bench import outbox_rival
from tests.bench.machine import Report, processor_seconds
from tests.bench.outbox_load import WRITERS, Load, Outbox, arrivals, quantiles
from tests.integration.containers import Containers
from tests.integration.kafka_container import RELAY, KafkaServer, Reader, start_kafka
from tests.integration.processes import ServiceProcess, environment
from tests.integration.servers import Authority, PostgresServer, start_postgres

RATE, RATE_BESIDE = 1000, 250
"""Events a second."""
BACKLOG = 50_000
_STAGES = ("claim", "publish", "mark")


@dataclass(frozen=True)
class Side:
    name: str
    outbox: Outbox
    start: Callable[[], ServiceProcess]
    ours: bool = False


def ours(database: DatabaseSettings) -> Outbox:
    """As the services write to it."""
    return Outbox(
        database,
        insert="""
INSERT INTO outbox_events (id, lane, aggregate_id, aggregate_version, event_type, payload)
VALUES ($1, $2::smallint, $3, $4, 'resource.updated', $5::jsonb)
""",
        notify="SELECT pg_notify('outbox', '')",
        unsent="SELECT EXISTS (SELECT 1 FROM outbox_events WHERE processed_at IS NULL)",
    )


class Bench:
    """The servers, and what every side is measured with."""

    def __init__(
        self, postgres: PostgresServer, kafka: KafkaServer, folder: Path, report: Report
    ) -> None:
        self._postgres = postgres
        self._kafka = kafka
        self._folder = folder
        self._report = report
        self._arrived: dict[str, float] = {}

    async def sides(self) -> list[Side]:
        """Each with a database of its own."""
        made = [await self._our_side("millrace", "restdb")]
        for workers in (1, 64):
            database = await self._postgres.provision(f"rival_{workers}")
            start = self._starting(
                "tests.bench.outbox_rival", database, RIVAL_WORKERS=workers, PYTHONPATH=Path.cwd()
            )
            name = f"faststream-outbox, {workers} at a time"
            made.append(Side(name, outbox_rival.outbox(database), start))
        return made

    async def _our_side(self, name: str, owner: str) -> Side:
        database = await self._postgres.provision(f"{owner}_bench")
        await migrate(owner, RECORDS.owner(owner), database, ENGINES["postgres"])
        start = self._starting("services.outbox_relay", database, RELAY_ID=name)
        return Side(name, ours(database), start, ours=True)

    def _starting(
        self, module: str, database: DatabaseSettings, **more: object
    ) -> Callable[[], ServiceProcess]:
        kafka = self._kafka.settings(RELAY)
        variables = environment("outbox-relay-rest", database, kafka, LOG_LEVEL="WARNING", **more)
        log = self._folder / f"{database.name}.log"
        return lambda: ServiceProcess(module, variables, log)

    async def run(self, seconds: float) -> int:
        await asyncio.to_thread(self._kafka.provision)
        beside = await self._our_side("beside", "grpcdb")
        wrong = 0
        async with self._reading() as reader, _running(beside) as (_, near):
            await near.steady(RATE_BESIDE, 2)
            for side in await self.sides():
                async with _running(side) as (relay, load):
                    await self._steady(side, relay, load, near, seconds)
                    await self._backlog(side, relay, load)
                    await asyncio.sleep(1)
                    found = load.judged(reader.messages)
                self._report.add(f"{side.name}, all of it", **found)
                wrong += side.ours and (found["keys_with_a_loss"] + found["keys_out_of_order"])
        return 1 if wrong else 0

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Reader]:
        reader = self._kafka.reader([RESOURCE_UPDATED])
        reading = asyncio.create_task(arrivals(reader, self._arrived))
        try:
            yield reader
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading

    async def _steady(
        self, side: Side, relay: ServiceProcess, load: Load, near: Load, seconds: float
    ) -> None:
        await load.steady(200, 5)  # warm-up, not counted
        await load.sent(60)
        load.committed.clear()
        before = processor_seconds(relay.pid)
        await asyncio.gather(load.steady(RATE, seconds), near.steady(RATE_BESIDE, seconds))
        await load.sent(120)
        spent = processor_seconds(relay.pid) - before
        await asyncio.sleep(1)
        what = f"{side.name}: {RATE} events/s from {WRITERS} writers, {RATE_BESIDE}/s beside it"
        if side.ours:
            marked = await _marks(side.outbox.database)
            known = [max(0, marked[i] - t) for i, t in load.committed.items()]
            self._report.add(f"{what}, commit to marked", **quantiles(known))
        seen = [self._arrived[i] - t for i, t in load.committed.items()]
        cores = round(spent / seconds, 2)
        self._report.add(f"{what}, commit to consumed", **quantiles(seen), relay_cores=cores)

    async def _backlog(self, side: Side, relay: ServiceProcess, load: Load) -> None:
        stages = [f"outbox_{stage}_duration_seconds_sum" for stage in _STAGES if side.ours]
        earlier = [await relay.metric(name) for name in stages]
        before = processor_seconds(relay.pid)
        await load.backlog(BACKLOG)
        started = time.monotonic()
        await load.sent(300)
        took, spent = time.monotonic() - started, processor_seconds(relay.pid) - before
        self._report.add(
            f"{side.name}: a backlog of {BACKLOG} events",
            events_per_second=round(BACKLOG / took, 1),
            events_per_second_and_core=round(BACKLOG / spent, 1),
            **{
                f"{stage}_seconds": round(await relay.metric(name) - at_first, 2)
                for stage, name, at_first in zip(_STAGES, stages, earlier, strict=False)
            },
        )


@asynccontextmanager
async def _running(side: Side) -> AsyncIterator[tuple[ServiceProcess, Load]]:
    relay = side.start()
    try:
        yield relay, Load(side.outbox, side.name.replace(" ", "-"))
    finally:
        relay.kill()


async def _marks(database: DatabaseSettings) -> dict[str, float]:
    connection = await connect(database, "bench")
    rows = await connection.fetch(
        "SELECT id, extract(epoch FROM processed_at)::float8 AS at FROM outbox_events"
    )
    await connection.close()
    return {row["id"]: row["at"] for row in rows}


async def _bench(containers: Containers, folder: Path, report: Report, seconds: float) -> int:
    authority = Authority.make(folder)
    postgres = start_postgres(containers, authority)
    kafka = start_kafka(containers, authority)
    await postgres.wait()
    return await Bench(postgres, kafka, folder, report).run(seconds)


def run(seconds: float = 30) -> int:
    """Exit code 1 when our relay lost an event or changed the order of a key's."""
    logging.configure("bench", "WARNING")
    report = Report("outbox-latency")
    containers = Containers()
    try:
        with tempfile.TemporaryDirectory() as folder:
            code = asyncio.run(_bench(containers, Path(folder), report, seconds))
    finally:
        containers.close()
    return report.close() or code

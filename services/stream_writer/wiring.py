"""Puts one writer process together and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from services.shared.postgres.database import Database
from services.shared.redis.client import client
from services.shared.runtime.logging import get_logger
from services.shared.runtime.metrics import new_registry
from services.shared.runtime.settings import DatabaseSettings, ServiceSettings
from services.shared.stream.settings import StreamSettings
from services.shared.stream.settle import Settling
from services.shared.wiring.process import Process, work_until_stopped
from services.stream_writer.beats import SlowestBeat
from services.stream_writer.budget import Budget
from services.stream_writer.claims import Claims
from services.stream_writer.metrics import WriterMetrics
from services.stream_writer.patience import Patience
from services.stream_writer.settings import WriterSettings
from services.stream_writer.store import DocumentStore
from services.stream_writer.stream import Hold, Stream
from services.stream_writer.worker import Reaper, Worker, repeat
from services.stream_writer.writing import Writer

log = get_logger(__name__)

REDIS_SECONDS = 5.0
"""For each command: a disk that is slow to flush holds all of them up."""
_MADE_BEFORE_COLLECTING = 50_000
"""Objects: at Python's own 700 the collector takes a tenth of what a writer uses."""


async def run(
    service: ServiceSettings,
    database_settings: DatabaseSettings,
    redis_settings: StreamSettings,
    settings: WriterSettings,
) -> None:
    """Write documents and serve HTTP until SIGTERM or SIGINT; needs no server to start."""
    registry = new_registry()
    database = Database(database_settings, registry, application_name=service.service_name)
    await database.open()
    # A worker holds one connection while it waits for entries; the rest is short.
    redis = client(redis_settings, timeout=REDIS_SECONDS, max_connections=2 * settings.workers + 4)
    pod = Loops(settings, database, redis, registry)
    # A batch is some thousands of objects that refer to each other in no circle and go together.
    gc.set_threshold(_MADE_BEFORE_COLLECTING)
    log.info("writer_starting", writer=settings.id, workers=settings.workers)
    try:
        await work_until_stopped(
            Process(service, database, registry, pod.heartbeat, checks={"redis": redis.ping}),
            pod.run,
            on_stop=lambda: None,
        )
    finally:
        with contextlib.suppress(Exception):
            await redis.aclose()
        await database.close()
    log.info("writer_stopped", writer=settings.id)


class Loops:
    """The loops of one process: workers, a reaper, and a look at the stream."""

    def __init__(
        self,
        settings: WriterSettings,
        database: Database,
        redis: Redis,
        registry: CollectorRegistry,
    ) -> None:
        self.heartbeat = SlowestBeat(settings.wedged_after_seconds)
        self._settings = settings
        self._redis = redis
        self._metrics = WriterMetrics(registry)
        self._stream = Stream(redis)
        self._store = DocumentStore(database)
        self._budget = Budget(redis, settings.commits_per_second)
        self._consumers = [f"{settings.id}-{n}" for n in range(1, settings.workers + 1)]
        self._claims = Claims(
            redis,
            f"{settings.id}-reaper",
            claim_after=settings.claim_after_seconds,
            count=settings.batch_size,
            careful_from=settings.max_deliveries,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """All of them until `stop` is set, and each until its batch is done."""
        workers = [self._worker(name, self._patience(stop)) for name in self._consumers]
        reaper = self._reaper(self._patience(stop))
        await asyncio.gather(
            *(loop.run() for loop in (*workers, reaper)), self._watch(self._patience(stop))
        )
        # A name that returns finds what it had in hand; one that does not is not kept for it.
        with contextlib.suppress(Exception):
            await self._claims.forget([*self._consumers, self._claims.consumer])

    async def _watch(self, patience: Patience) -> None:
        async def look() -> None:
            self._metrics.show(await self._stream.look())

        async def turn() -> None:
            await patience.insist("look", look)
            await patience.rest(self._settings.watch_interval_seconds)

        await repeat(turn, patience)

    def _patience(self, stop: asyncio.Event) -> Patience:
        # What is in hand has to be held while its database is waited for.
        longest = self._settings.claim_after_seconds / 6
        return Patience(stop, self.heartbeat.part(), self._metrics, longest=longest)

    def _worker(self, consumer: str, patience: Patience) -> Worker:
        return Worker(
            consumer,
            self._stream,
            self._budget,
            self._writer(consumer, patience),
            settings=self._settings,
            patience=patience,
            metrics=self._metrics,
        )

    def _reaper(self, patience: Patience) -> Reaper:
        return Reaper(
            self._claims,
            self._stream,
            self._writer(self._claims.consumer, patience),
            settings=self._settings,
            patience=patience,
            metrics=self._metrics,
        )

    def _writer(self, consumer: str, patience: Patience) -> Writer:
        return Writer(
            self._store,
            Settling(self._redis),
            self._budget,
            Hold(self._redis, consumer, self._settings.claim_after_seconds),
            most=self._settings.most,
            usual=self._settings.batch_size,
            copies_stay=self._settings.copies_stay_seconds,
            patience=patience,
            metrics=self._metrics,
        )

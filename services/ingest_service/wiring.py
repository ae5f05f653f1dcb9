"""Puts the ingest service's process together and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from services.ingest_service.admission import Gate
from services.ingest_service.app import create_app
from services.ingest_service.cache import FAILURES, LocalCache, SharedCache
from services.ingest_service.gathering import LANES, Gatherer
from services.ingest_service.metrics import IngestMetrics
from services.ingest_service.pages import Pages
from services.ingest_service.reading import LANES as READ_LANES
from services.ingest_service.reading import Reader
from services.ingest_service.service import IngestService
from services.ingest_service.settings import IngestSettings
from services.ingest_service.store import Store
from services.ingest_service.telemetry.wiring import TelemetryMeans, telemetry
from services.ingest_service.watch import Watch
from services.shared.auth.settings import AuthenticationSettings
from services.shared.auth.wiring import guarded
from services.shared.http import server
from services.shared.http.health import Readiness
from services.shared.limits.wiring import LimitMeans, limited
from services.shared.postgres.database import Database
from services.shared.redis import client as redis
from services.shared.runtime.breaker import Breaker, BreakerMetrics
from services.shared.runtime.logging import get_logger
from services.shared.runtime.metrics import new_registry
from services.shared.runtime.settings import DatabaseSettings, RedisSettings, ServiceSettings
from services.shared.stream.accept import StreamInlet
from services.shared.stream.ask import StreamReader
from services.shared.stream.settings import StreamSettings

log = get_logger(__name__)

ACCEPT_TIMEOUT = 3.0
"""A disk that writes back may make a call wait for longer than a network does."""
READ_TIMEOUT = 2.0
WATCH_TIMEOUT = 1.0
CACHE_TIMEOUT = 0.25


@dataclass(frozen=True)
class Means:
    """What the service is told."""

    service: ServiceSettings
    ingest: IngestSettings
    database: DatabaseSettings
    stream: StreamSettings
    cache: RedisSettings
    authentication: AuthenticationSettings
    limits: LimitMeans
    telemetry: TelemetryMeans


@contextlib.asynccontextmanager
async def application(
    means: Means, readiness: Readiness, registry: CollectorRegistry
) -> AsyncIterator[FastAPI]:
    """The application with all it stands on, for as long as the context lasts."""
    metrics = IngestMetrics(registry)
    # Connections of their own: neither reads nor looks wait for those that wait for the disk.
    accepting = redis.client(means.stream, timeout=ACCEPT_TIMEOUT, max_connections=LANES)
    reading = redis.client(means.stream, timeout=READ_TIMEOUT, max_connections=READ_LANES)
    watching = redis.client(means.stream, timeout=WATCH_TIMEOUT, max_connections=1)
    name = means.service.service_name
    database = Database(means.database, registry, application_name=name)
    store = Store(database)
    gatherer = Gatherer(StreamInlet(accepting, means.ingest.max_queue).accept, metrics)
    breakers = BreakerMetrics(registry)
    shared = SharedCache(
        redis.client(means.cache, timeout=CACHE_TIMEOUT),
        means.ingest.cache_ttl_seconds,
        metrics,
        Breaker("cache", means.limits.breaker, breakers, failures=FAILURES),
    )
    local = LocalCache(seconds=means.ingest.cache_ttl_seconds)
    reader = Reader(StreamReader(reading), local, shared, store, metrics)
    gate = Gate(means.ingest, metrics)
    watch = Watch(watching, gate, metrics)
    # Not the database: what is accepted needs it later only, and is read from the stream.
    readiness.add("stream", watch.check)
    pages = Pages(store, means.ingest)
    ingest = IngestService(gate, gatherer, reader, pages, metrics)
    await database.open()
    looking = asyncio.create_task(watch.keep_looking())
    try:
        async with (
            guarded(means.authentication, registry) as guard,
            limited(means.limits, means.cache, name, registry, breakers) as limit,
            telemetry(means.telemetry, name, registry) as points,
        ):
            yield create_app(
                name,
                ingest,
                means.ingest,
                readiness,
                registry,
                telemetry=points,
                points=means.telemetry.points,
                guard=guard,
                limit=limit,
                access_log=means.service.access_log,
            )
    finally:
        # A client of Redis that connects, or closes, may let a cancellation go unheard, and an end
        # must not wait for that.
        while not looking.done():
            looking.cancel()
            await asyncio.wait({looking}, timeout=1)
        await _within(2 * ACCEPT_TIMEOUT, gatherer.close())
        await _within(READ_TIMEOUT, shared.close())
        await database.close()
        for client in (accepting, reading, watching):
            await _within(READ_TIMEOUT, client.aclose())


async def _within(seconds: float, closing: Coroutine[Any, Any, None]) -> None:
    """Wait for `closing`, however it ends, but not for long."""
    task = asyncio.create_task(closing)
    await asyncio.wait({task}, timeout=seconds)
    if not task.done():
        log.warning("not_closed_in_time", seconds=seconds)
        task.cancel()
    elif not task.cancelled() and (error := task.exception()):
        log.info("not_closed", error=f"{type(error).__name__}: {error}")


async def run(means: Means) -> None:
    """Serve until SIGTERM; needs no server to start."""
    stop = asyncio.Event()
    server.stop_on_signals(stop)
    registry = new_registry()
    readiness = Readiness(registry)
    async with application(means, readiness, registry) as app:
        await server.serve(app, means.service, readiness, stop)

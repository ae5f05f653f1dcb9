"""Puts the REST service's process together and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from services.rest_service.app import create_app
from services.rest_service.cache import VersionedCache
from services.rest_service.documents.service import DocumentService
from services.rest_service.documents.store import DocumentStore
from services.rest_service.repository import ResourceRepository
from services.rest_service.service import ResourceService
from services.rest_service.settings import DataStoreSettings, IdempotencySettings
from services.rest_service.upkeep import keep_forgetting
from services.shared.auth.settings import AuthenticationSettings
from services.shared.auth.wiring import guarded
from services.shared.http import server
from services.shared.http.health import Readiness
from services.shared.limits.wiring import LimitMeans, limited
from services.shared.outbox.events import Outbox
from services.shared.postgres.database import Database
from services.shared.redis import client as redis
from services.shared.runtime.breaker import BreakerMetrics
from services.shared.runtime.metrics import new_registry
from services.shared.runtime.settings import DatabaseSettings, RedisSettings, ServiceSettings

CACHE_TIMEOUT = 0.25


@dataclass(frozen=True)
class Means:
    """What the service is told."""

    service: ServiceSettings
    database: DatabaseSettings
    data_store: DataStoreSettings
    cache: RedisSettings
    idempotency: IdempotencySettings
    authentication: AuthenticationSettings
    limits: LimitMeans


async def run(means: Means) -> None:
    """Serve until SIGTERM; needs neither PostgreSQL nor Redis to start."""
    stop = asyncio.Event()
    server.stop_on_signals(stop)
    registry = new_registry()
    name = means.service.service_name
    database = Database(means.database, registry, application_name=name)
    data_store = Database(means.data_store, registry, application_name=name)
    cache = VersionedCache(
        redis.client(means.cache, timeout=CACHE_TIMEOUT), registry, timeout=CACHE_TIMEOUT
    )
    readiness = Readiness(registry)
    # Not the data store: resources go on without it.
    readiness.add("database", database.ping)
    outbox = Outbox(database)
    resources = ResourceService(ResourceRepository(database, outbox), cache)
    documents = DocumentService(DocumentStore(data_store), cache)
    await database.open()
    await data_store.open()
    upkeep = asyncio.create_task(keep_forgetting(database, means.idempotency.retention))
    try:
        async with (
            guarded(means.authentication, registry) as guard,
            limited(means.limits, means.cache, name, registry, BreakerMetrics(registry)) as limit,
        ):
            app = create_app(
                name,
                resources,
                documents,
                readiness,
                registry,
                guard=guard,
                limit=limit,
                access_log=means.service.access_log,
            )
            await server.serve(app, means.service, readiness, stop)
    finally:
        upkeep.cancel()
        await outbox.close()
        await cache.close()
        await data_store.close()
        await database.close()

"""Puts the REST service's process together and runs it until it is told to stop."""

from __future__ import annotations

import asyncio

from services.rest_service.app import create_app
from services.rest_service.cache import ResourceCache
from services.rest_service.repository import ResourceRepository
from services.rest_service.service import ResourceService
from services.rest_service.settings import IdempotencySettings
from services.rest_service.upkeep import keep_forgetting
from services.shared.http import server
from services.shared.http.health import Readiness
from services.shared.outbox.events import Outbox
from services.shared.postgres.database import Database
from services.shared.redis import client as redis
from services.shared.runtime.metrics import new_registry
from services.shared.runtime.settings import DatabaseSettings, RedisSettings, ServiceSettings

CACHE_TIMEOUT = 0.25


async def run(
    settings: ServiceSettings,
    database_settings: DatabaseSettings,
    redis_settings: RedisSettings,
    idempotency: IdempotencySettings,
) -> None:
    """Serve until SIGTERM; needs neither PostgreSQL nor Redis to start."""
    stop = asyncio.Event()
    server.stop_on_signals(stop)
    registry = new_registry()
    database = Database(database_settings, registry, application_name=settings.service_name)
    cache = ResourceCache(
        redis.client(redis_settings, timeout=CACHE_TIMEOUT), registry, timeout=CACHE_TIMEOUT
    )
    readiness = Readiness(registry)
    readiness.add("database", database.ping)
    outbox = Outbox(database)
    resources = ResourceService(ResourceRepository(database, outbox), cache)
    app = create_app(settings.service_name, resources, readiness, registry)
    await database.open()
    upkeep = asyncio.create_task(keep_forgetting(database, idempotency.retention))
    try:
        await server.serve(app, settings, readiness, stop)
    finally:
        upkeep.cancel()
        await outbox.close()
        await cache.close()
        await database.close()

"""python -m services.rest_service"""

from __future__ import annotations

import asyncio
import sys

import uvloop

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
from services.shared.runtime import logging
from services.shared.runtime.metrics import new_registry
from services.shared.runtime.settings import (
    DatabaseSettings,
    RedisSettings,
    ServiceSettings,
    SettingsError,
    load,
)

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


def main() -> int:
    """Exit code 0 after a graceful end, 1 with one line per variable when not configured."""
    try:
        settings = load(ServiceSettings)
        logging.configure(settings.service_name, settings.log_level)
        uvloop.run(
            run(settings, load(DatabaseSettings), load(RedisSettings), load(IdempotencySettings))
        )
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What a process needs to hold its clients to a rate."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry

from services.shared.limits.exchange import Exchange
from services.shared.limits.limiter import RateLimit
from services.shared.limits.settings import RateLimitSettings
from services.shared.redis import client as redis
from services.shared.runtime.breaker import Breaker, BreakerMetrics
from services.shared.runtime.settings import BreakerSettings, RedisSettings

EXCHANGE_TIMEOUT: Final = 0.25
"""Nobody waits for an exchange; each pod has the whole rate for as long."""


@dataclass(frozen=True)
class LimitMeans:
    """What a service is told of limits."""

    rate: RateLimitSettings
    breaker: BreakerSettings


@contextlib.asynccontextmanager
async def limited(
    means: LimitMeans,
    server: RedisSettings,
    service: str,
    registry: CollectorRegistry,
    metrics: BreakerMetrics,
) -> AsyncIterator[RateLimit | None]:
    """The limit of all clients of `service`, for as long as the context lasts; None where none is
    set. Needs no Redis to start."""
    rate = means.rate
    if rate.per_second is None:
        yield None
        return
    # A connection of its own: what is told does not wait for what is looked up.
    client = redis.client(server, timeout=EXCHANGE_TIMEOUT, max_connections=1)
    breaker = Breaker("rate-limit", means.breaker, metrics, failures=(Exception,))
    tell = Exchange(client, service, rate.per_second, rate.at_once)
    limit = RateLimit(rate, tell, breaker, registry)
    try:
        yield limit
    finally:
        await limit.close()
        with contextlib.suppress(redis.RedisError, OSError):
            async with asyncio.timeout(EXCHANGE_TIMEOUT):
                await client.aclose()

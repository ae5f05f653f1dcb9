"""A limit whose clock a test holds, and that tells nobody but the test."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry

from services.shared.limits.exchange import Told
from services.shared.limits.limiter import RateLimit
from services.shared.limits.settings import RateLimitSettings
from services.shared.runtime import context
from services.shared.runtime.breaker import Breaker, BreakerMetrics
from services.shared.runtime.settings import BreakerSettings


class Clock:
    """Stands still."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Pods:
    """In place of Redis: what it was told, and what other pods took (`lacks`, in seconds). Away, it
    raises; frozen, it says nothing."""

    def __init__(self, clock: Clock, cost: float) -> None:
        self._clock = clock
        self._cost = cost
        self._full_at: dict[str, float] = {}
        self.told: list[dict[str, int]] = []
        self.told_for: list[dict[str, Any]] = []
        """What log lines would have named with it."""
        self.lacks: dict[str, float] = {}
        self.pods = 1
        self.away = False
        self.thawed = asyncio.Event()
        self.thawed.set()

    async def __call__(self, taken: Mapping[str, int]) -> Told:
        self.told.append(dict(taken))
        named: dict[str, Any] = {}
        context.add_ids(None, "", named)
        self.told_for.append(named)
        await self.thawed.wait()
        if self.away:
            raise ConnectionError
        now = self._clock()
        for name, count in taken.items():
            full_at = max(self._full_at.get(name, now), now) + self.lacks.pop(name, 0.0)
            self._full_at[name] = full_at + count * self._cost
        return Told(self.pods, [self._full_at[name] - now for name in taken])


class Limits:
    """A limit, and what it stands on."""

    def __init__(self, **settings: Any) -> None:
        self.registry = CollectorRegistry()
        self.clock = Clock()
        given = RateLimitSettings(**{"exchange_seconds": 0.005, **settings})
        assert given.per_second is not None
        self.pods = Pods(self.clock, 1 / given.per_second)
        self.breaker = Breaker(
            "rate-limit",
            BreakerSettings(),
            BreakerMetrics(self.registry),
            failures=(Exception,),
            clock=self.clock,
        )
        self.limit = RateLimit(given, self.pods, self.breaker, self.registry, self.clock)

    def count(self, result: str, by: str = "shared") -> float:
        labels = {"result": result, "by": by}
        return self.registry.get_sample_value("rate_limit_requests_total", labels) or 0.0

    @property
    def remembered(self) -> float | None:
        return self.registry.get_sample_value("rate_limit_clients")

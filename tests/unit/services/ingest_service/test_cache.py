"""The cache in the process, by a clock of the test, and the shared one while its server is away."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from services.ingest_service.cache import FAILURES, LocalCache, SharedCache
from services.ingest_service.metrics import IngestMetrics
from services.shared.runtime.breaker import Breaker, BreakerMetrics
from services.shared.runtime.settings import BreakerSettings


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_document_is_found_behind_its_own_fence_only() -> None:
    cache = LocalCache()
    cache.put("a", b"1-0", b"old")
    assert cache.get("a", b"1-0") == b"old"
    assert cache.get("a", b"2-0") is None
    cache.put("a", b"2-0", b"new")
    assert cache.get("a", b"2-0") == b"new"
    cache.put("a", b"1-0", b"old")  # late; what it replaces is only lost
    assert cache.get("a", b"2-0") is None


def test_a_document_is_forgotten_after_a_while() -> None:
    clock = Clock()
    cache = LocalCache(seconds=5, clock=clock)
    cache.put("a", b"f", b"x")
    clock.now += 4.9
    assert cache.get("a", b"f") == b"x"
    clock.now += 0.1
    assert cache.get("a", b"f") is None


def test_the_least_recently_used_go_first_and_a_large_one_is_not_kept() -> None:
    cache = LocalCache(most_bytes=100_000)
    for name in "abcdef":
        cache.put(name, b"f", b"x" * 1000)
    assert cache.get("a", b"f") is not None
    for number in range(64):
        cache.put(f"n{number}", b"f", b"x" * 1000)
        cache.get("a", b"f")
    assert cache.get("a", b"f") is not None
    assert cache.get("b", b"f") is None
    assert cache.get("n63", b"f") is not None
    cache.put("large", b"f", b"x" * 2000)
    assert cache.get("large", b"f") is None


class Server:
    """In place of Redis: how often it was asked. Away, it answers nobody until the test says so."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = True
        self.late = asyncio.Event()

    async def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        self.asked += 1
        if self.away:
            await self.late.wait()
            raise ConnectionError
        return [b"f document" for _ in keys]


async def test_a_server_that_is_away_is_looked_for_by_one_question_while_nobody_waits() -> None:
    clock, server, registry = Clock(), Server(), CollectorRegistry()
    breaker = Breaker(
        "cache", BreakerSettings(), BreakerMetrics(registry), failures=FAILURES, clock=clock
    )
    cache = SharedCache(cast(Redis, server), 60, IngestMetrics(registry), breaker)
    server.late.set()
    for number in range(10):
        assert await cache.get(str(number), b"f") is None
    assert server.asked == 3
    server.late.clear()  # from now on it stands still
    clock.now += 1.25
    looks = asyncio.create_task(cache.get("looks", b"f"))
    while server.asked == 3:
        await asyncio.sleep(0)
    others: list[Any] = [await cache.get(str(number), b"f") for number in range(100)]
    assert (set(others), server.asked, looks.done()) == ({None}, 4, False)
    server.late.set()
    assert await looks is None
    clock.now += 1.25
    server.away = False
    assert await cache.get("a", b"f") == b"document"
    assert await cache.get("a", b"f") == b"document"
    assert registry.get_sample_value("ingest_cache_errors_total", {"operation": "get"}) == 4

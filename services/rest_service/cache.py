"""Cache-aside in Redis that may be away at any time and must never bring an old version back.

An entry is "VERSION:JSON". A write leaves a tombstone "VERSION:" behind. A reader that fetched
version 3 from the database before another request wrote version 4 finds the tombstone and does
not store its stale copy: a Lua script compares versions and sets in one step. A write that could
not reach Redis is made up for before this process reads that entry again; other processes may see
the old entry until then, or until its time to live is over if this process dies first.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.rest_service.models import Resource
from services.shared.runtime.logging import get_logger
from services.shared.runtime.settings import SettingsError

log = get_logger(__name__)

TTL_SECONDS = 60
"""Tombstones live as long as entries, far longer than a reader takes from database to cache."""

# KEYS[1]; ARGV: version, JSON ("" for a tombstone), TTL. Versions are compared as numbers.
# A tombstone of version 4 lets version 4 in, an entry of version 4 only version 5.
_STORE = """
local current = redis.call('GET', KEYS[1])
if current then
    local colon = string.find(current, ':', 1, true)
    local version = tonumber(string.sub(current, 1, colon - 1))
    local given = tonumber(ARGV[1])
    if version > given then return 0 end
    if version == given and ARGV[2] == '' then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2], 'EX', ARGV[3])
return 1
"""
UNKNOWN_VERSION = 2**53
"""For a write whose outcome is unknown: keeps every version out until the tombstone expires."""

_MISSED_LIMIT = 10_000
"""Writes that are remembered while Redis is away; with more, old entries are left to expire."""
_FAILURES_LIMIT = 3
"""Failures in a row after which Redis counts as away."""
_FAILURES = (RedisError, OSError, SettingsError)


class ResourceCache:
    """Each call takes at most `timeout` seconds; none raises.

    After a few failures in a row the cache is left alone, at no cost to requests, until a
    background task gets an answer again: only those few, and the requests in flight at the moment
    Redis went away, notice. Writes come back with the first answer, reads when every old entry is
    made up for or has expired.
    """

    def __init__(
        self,
        redis: Redis,
        registry: CollectorRegistry,
        *,
        timeout: float = 0.25,
        probe_interval: float = 1.0,
    ) -> None:
        self._redis = redis
        self._store_script = redis.register_script(_STORE)
        self._timeout = timeout
        self._probe_interval = probe_interval
        self._mending: asyncio.Task[None] | None = None
        self._failures = 0
        self._away = False  # nothing is sent but the probe
        self._bypassed = False  # nothing is read or kept
        self._missed: dict[str, int] = {}  # resource id to the version that was written
        self._expired_at = -math.inf  # by the monotonic clock; no old entry is left after it
        self._requests = Counter(
            "cache_requests",
            "Look-ups in the resource cache: hit, miss, or bypass when Redis is away.",
            ["result"],
            registry=registry,
        )
        self._errors = Counter(
            "cache_errors", "Cache operations that failed.", ["operation"], registry=registry
        )
        self._available = Gauge(
            "cache_available", "1 while the cache is in use.", registry=registry
        )
        self._available.set(1)
        for result in ("hit", "miss", "bypass"):
            self._requests.labels(result)

    async def get(self, resource_id: str) -> Resource | None:
        """The cached resource; None when there is none or Redis is away."""
        if self._bypassed or resource_id in self._missed:
            self._requests.labels("bypass").inc()
            return None
        try:
            async with asyncio.timeout(self._timeout):
                entry = await self._redis.get(_key(resource_id))
        except _FAILURES as error:
            self._failed("get", error)
            self._requests.labels("bypass").inc()
            return None
        self._failures = 0
        body = entry.partition(b":")[2] if isinstance(entry, bytes) else b""
        self._requests.labels("hit" if body else "miss").inc()
        # A body that an older release wrote in another shape is a miss, not an error.
        with contextlib.suppress(ValueError):
            return Resource.model_validate_json(body) if body else None
        return None

    async def put(self, resource: Resource) -> None:
        """Keep what was read from the database, unless something newer is known."""
        if not self._bypassed and resource.id not in self._missed:
            await self._store("put", resource.id, resource.version, resource.model_dump_json())

    async def invalidate(self, resource_id: str, version: int) -> None:
        """Forget everything older than `version`, which has just been written."""
        if self._away or not await self._store("invalidate", resource_id, version, ""):
            self._missed[resource_id] = max(version, self._missed.get(resource_id, 0))
            if len(self._missed) > _MISSED_LIMIT:
                self._missed.clear()
                self._expired_at = time.monotonic() + TTL_SECONDS
                self._bypass()
            self._mend()

    async def close(self) -> None:
        """Stop probing and close the connections."""
        if self._mending:
            self._mending.cancel()
            await asyncio.gather(self._mending, return_exceptions=True)
        with contextlib.suppress(*_FAILURES):
            await self._redis.aclose()

    async def _store(self, operation: str, resource_id: str, version: int, body: str) -> bool:
        try:
            await self._run_script(resource_id, version, body)
        except _FAILURES as error:
            self._failed(operation, error)
            return False
        self._failures = 0
        return True

    async def _run_script(self, resource_id: str, version: int, body: str) -> None:
        async with asyncio.timeout(self._timeout):
            await self._store_script(keys=[_key(resource_id)], args=[version, body, TTL_SECONDS])

    def _failed(self, operation: str, error: Exception) -> None:
        self._errors.labels(operation).inc()
        self._failures += 1
        if self._failures < _FAILURES_LIMIT and not self._bypassed:
            return
        if not self._away:
            log.warning("cache_unavailable", operation=operation, error=type(error).__name__)
        self._away = True
        self._bypass()
        self._mend()

    def _bypass(self) -> None:
        self._bypassed = True
        self._available.set(0)

    def _mend(self) -> None:
        if self._mending is None:
            self._mending = asyncio.create_task(self._probe())

    async def _probe(self) -> None:
        # This task is nobody's request: its log lines must not carry the one that started it.
        structlog.contextvars.clear_contextvars()
        while True:
            await asyncio.sleep(self._probe_interval)
            try:
                await self._make_up()
            except Exception as error:  # any: without this task the cache would never come back
                log.debug("cache_still_unavailable", error=type(error).__name__)
                continue
            if time.monotonic() >= self._expired_at:
                break
        # Nothing is awaited between the last missed write and this.
        self._mending = None
        if self._bypassed:
            self._bypassed = False
            self._available.set(1)
            log.info("cache_available")

    async def _make_up(self) -> None:
        async with asyncio.timeout(self._timeout * 4):
            await self._redis.ping()
        # From here on writes go straight to Redis again, so what was missed only gets less.
        self._away = False
        self._failures = 0
        while self._missed:
            resource_id, version = next(iter(self._missed.items()))
            await self._run_script(resource_id, version, "")
            if self._missed.get(resource_id) == version:
                del self._missed[resource_id]


def _key(resource_id: str) -> str:
    return f"resource:{resource_id}"

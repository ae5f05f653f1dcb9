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
import itertools
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.shared.runtime import context
from services.shared.runtime.logging import get_logger
from services.shared.runtime.settings import SettingsError
from services.shared.runtime.together import Together

log = get_logger(__name__)

TTL_SECONDS = 60
"""Tombstones live as long as entries, far longer than a reader takes from database to cache."""

# KEYS; ARGV: TTL, JSON ("" for tombstones), and the version of each key. Versions are compared as
# numbers. A tombstone of version 4 lets version 4 in, an entry of version 4 only version 5.
_STORE = """
for place, key in ipairs(KEYS) do
    local given, stale = ARGV[place + 2], true
    local current = redis.call('GET', key)
    if current then
        local colon = string.find(current, ':', 1, true)
        local version = tonumber(string.sub(current, 1, colon - 1))
        stale = version < tonumber(given) or version == tonumber(given) and ARGV[2] ~= ''
    end
    if stale then redis.call('SET', key, given .. ':' .. ARGV[2], 'EX', ARGV[1]) end
end
"""
UNKNOWN_VERSION = 2**53
"""For a write whose outcome is unknown: keeps every version out until the tombstone expires."""

_MISSED_LIMIT = 10_000
"""Writes that are remembered while Redis is away; with more, old entries are left to expire."""
_MAKE_UP_BATCH = 100
_LANES, _MOST_AT_ONCE = 2, 100
_FAILURES_LIMIT = 3
"""Failures in a row after which Redis counts as away."""
_FAILURES = (RedisError, OSError, SettingsError)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept under a key, and in which version."""

    version: int
    body: bytes


class _BypassedError(Exception):
    """Redis could not be asked."""


class VersionedCache:
    """Each question to Redis takes at most `timeout` seconds; none raises.

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
        self._missed: dict[str, int] = {}  # key to the version that was written
        self._expired_at = -math.inf  # by the monotonic clock; no old entry is left after it
        self._requests = Counter(
            "cache_requests",
            "Look-ups in the cache: hit, miss, or bypass when Redis is away.",
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
        self._requests.labels("bypass")
        self._hits, self._misses = self._requests.labels("hit"), self._requests.labels("miss")
        self._lookups = Together(
            self._look_up,
            lanes=_LANES,
            most=_MOST_AT_ONCE,
            patience=2 * timeout,
            late=_BypassedError,
        )

    async def get(self, key: str) -> Entry | None:
        """What is cached under the key; None when nothing is or Redis is away."""
        if self._bypassed or key in self._missed:
            self._requests.labels("bypass").inc()
            return None
        try:
            entry = await self._lookups.ask(key)
        except _BypassedError:
            self._requests.labels("bypass").inc()
            return None
        version, _, body = entry.partition(b":") if entry else (b"", b"", b"")
        if not body:
            self._misses.inc()
            return None
        self._hits.inc()
        return Entry(int(version), body)

    async def _look_up(self, keys: Sequence[str]) -> list[bytes | None]:
        if self._bypassed:
            raise _BypassedError
        try:
            async with asyncio.timeout(self._timeout):
                found: list[Any] = await self._redis.mget(keys)
        except _FAILURES as error:
            self._failed("get", error)
            raise _BypassedError from error
        self._failures = 0
        return found

    async def put(self, key: str, version: int, body: bytes) -> None:
        """Keep what was read from the database, unless something newer is known."""
        if not self._bypassed and key not in self._missed:
            await self._store("put", {key: version}, body)

    async def invalidate(self, written: Mapping[str, int]) -> None:
        """Forget everything under these keys older than the versions, which have just been
        written."""
        if self._away or not await self._store("invalidate", written, b""):
            for key, version in written.items():
                self._missed[key] = max(version, self._missed.get(key, 0))
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

    async def _store(self, operation: str, versions: Mapping[str, int], body: bytes) -> bool:
        try:
            await self._run_script(versions, body)
        except _FAILURES as error:
            self._failed(operation, error)
            return False
        self._failures = 0
        return True

    async def _run_script(self, versions: Mapping[str, int], body: bytes) -> None:
        async with asyncio.timeout(self._timeout):
            await self._store_script(
                keys=list(versions), args=[TTL_SECONDS, body, *versions.values()]
            )

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
        context.unbind()
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
            batch = dict(itertools.islice(self._missed.items(), _MAKE_UP_BATCH))
            await self._run_script(batch, b"")
            for key, version in batch.items():
                if self._missed.get(key) == version:
                    del self._missed[key]

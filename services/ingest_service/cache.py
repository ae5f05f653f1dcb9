"""Two caches of documents that came from the database, neither of which decides what is current.

Each value is kept with the fence it was loaded behind, and is of use only while that fence stands
(services/ingest_service/reading.py). So both may keep, lose or mix up the order of what they are
given: nobody has to tell them of a new document, and an outage leaves nothing to make up for.
"""

from __future__ import annotations

import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.ingest_service.metrics import IngestMetrics
from services.shared.runtime.breaker import Breaker, OpenError
from services.shared.runtime.settings import SettingsError
from services.shared.runtime.together import Together

LOCAL_BYTES = 16 * 1024 * 1024
SHARED_MOST_BYTES = 256 * 1024
_OVERHEAD = 500
"""Bytes that a value takes beside id, fence and document, about."""

FAILURES = (RedisError, OSError, SettingsError)
"""What a call of Redis raises that is away."""
_LANES = 2
_MOST_AT_ONCE = 200
_PATIENCE = 0.5


@dataclass(frozen=True, slots=True)
class _Kept:
    fence: bytes
    document: bytes
    until: float
    size: int


class LocalCache:
    """In this process: the most recently used, up to a number of bytes."""

    def __init__(
        self,
        most_bytes: int = LOCAL_BYTES,
        seconds: float = 300,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most_bytes = most_bytes
        self._seconds = seconds
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._size = 0

    def get(self, document_id: str, fence: bytes) -> bytes | None:
        """The document, if it was kept behind this very fence."""
        kept = self._kept.get(document_id)
        if kept is None:
            return None
        if kept.fence != fence or self._clock() >= kept.until:
            self._forget(document_id)
            return None
        self._kept.move_to_end(document_id)
        return kept.document

    def put(self, document_id: str, fence: bytes, document: bytes) -> None:
        """Keep it, at the cost of those that were used longest ago."""
        self._forget(document_id)
        # In characters' worth at most four bytes each; a large one is not worth many small ones.
        size = len(document) + len(fence) + 4 * len(document_id) + _OVERHEAD
        if size > self._most_bytes // 64:
            return
        self._kept[document_id] = _Kept(fence, document, self._clock() + self._seconds, size)
        self._size += size
        while self._size > self._most_bytes:
            self._forget(next(iter(self._kept)))

    def _forget(self, document_id: str) -> None:
        kept = self._kept.pop(document_id, None)
        if kept is not None:
            self._size -= kept.size


class SharedCache:
    """In Redis, for all processes. No call raises; `redis` bounds how long one takes.

    While `breaker` is open it is left alone, at no cost to requests; then one call looks, and only
    those wait whose questions go with it.
    """

    def __init__(
        self,
        redis: Redis,
        ttl_seconds: int,
        metrics: IngestMetrics,
        breaker: Breaker,
    ) -> None:
        self._redis = redis
        self._ttl = ttl_seconds
        self._metrics = metrics
        self._breaker = breaker
        self._values: Together[str, bytes | None] = Together(
            self._get_all, lanes=_LANES, most=_MOST_AT_ONCE, patience=_PATIENCE
        )
        self._kept: Together[tuple[str, bytes], None] = Together(
            self._put_all, lanes=_LANES, most=_MOST_AT_ONCE, patience=_PATIENCE
        )

    async def get(self, document_id: str, fence: bytes) -> bytes | None:
        """The document, if it was kept behind this very fence."""
        if self._breaker.refuses:
            return None
        try:
            value = await self._values.ask(document_id)
        except TimeoutError:  # it had to wait behind others
            return None
        if value is None:
            return None
        kept_behind, _, document = value.partition(b" ")
        return document if kept_behind == fence else None

    async def _get_all(self, ids: Sequence[str]) -> list[bytes | None]:
        try:
            with self._breaker.call():
                values: Any = await self._redis.mget([_key(one) for one in ids])
        except OpenError:
            return [None] * len(ids)
        except FAILURES:
            self._metrics.cache_errors.labels("get").inc()
            return [None] * len(ids)
        return values

    async def put(self, document_id: str, fence: bytes, document: bytes) -> None:
        """Keep it, unless it is worth more than many small ones."""
        if len(document) <= SHARED_MOST_BYTES and not self._breaker.refuses:
            with contextlib.suppress(TimeoutError):
                await self._kept.ask((document_id, fence + b" " + document))

    async def _put_all(self, values: Sequence[tuple[str, bytes]]) -> list[None]:
        try:
            with self._breaker.call():
                async with self._redis.pipeline(transaction=False) as pipe:
                    for document_id, value in values:
                        pipe.set(_key(document_id), value, ex=self._ttl)
                    await pipe.execute()
        except OpenError:
            pass
        except FAILURES:
            self._metrics.cache_errors.labels("put").inc()
        return [None] * len(values)

    async def close(self) -> None:
        """Close the connections."""
        with contextlib.suppress(*FAILURES):
            await self._redis.aclose()


def _key(document_id: str) -> str:
    return f"document:{document_id}"

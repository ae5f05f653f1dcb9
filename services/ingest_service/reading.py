"""Reads your own write: what was acknowledged is seen at once, in every process.

Two questions to the stream's server come first, in this order: the fence of the id's bucket (as a
rule the newest entry accepted for any id in it), then the id's pending document. Whatever was
accepted before the first question is by the second one either pending, and answers the read, or
settled, and so committed. What the database then says is therefore as new as the fence, and stays
current for as long as the fence does not move: an entry for the id would move it, in the same
script that accepts the entry. So a cached document is used if, and only if, its fence is the one
just read. That is all there is to keep a cache from hiding a document (docs/decisions/0024).
"""

from __future__ import annotations

import asyncio

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.ingest_service.cache import LocalCache, SharedCache
from services.ingest_service.metrics import IngestMetrics
from services.ingest_service.store import Store
from services.shared.runtime.settings import SettingsError
from services.shared.stream import names
from services.shared.stream.accept import StreamUnavailableError


class Reader:
    """The newest acknowledged document of an id, from wherever it can be had."""

    def __init__(
        self,
        redis: Redis,
        local: LocalCache,
        shared: SharedCache,
        store: Store,
        metrics: IngestMetrics,
    ) -> None:
        self._redis = redis
        self._local = local
        self._shared = shared
        self._store = store
        self._metrics = metrics
        self._loading: dict[tuple[str, bytes], asyncio.Task[bytes | None]] = {}

    async def get(self, document_id: str) -> bytes | None:
        """The document's JSON; None when there is none.

        Raises StreamUnavailableError: without the stream's word nothing here is known to be the
        newest. Raises DatabaseUnavailableError.
        """
        fence, waiting = await self._ask(document_id)
        if waiting is not None:
            self._metrics.reads.labels("pending").inc()
            return waiting
        kept = self._local.get(document_id, fence)
        if kept is not None:
            self._metrics.reads.labels("local").inc()
            return kept
        # Who finds another loading behind the same fence may have what that one gets. A task of
        # its own, which nobody's leaving cancels.
        loading = self._loading.get((document_id, fence))
        if loading is None:
            loading = asyncio.create_task(self._load(document_id, fence))
            self._loading[document_id, fence] = loading
            loading.add_done_callback(lambda done: self._loaded(document_id, fence, done))
        return await asyncio.shield(loading)

    def _loaded(self, document_id: str, fence: bytes, done: asyncio.Task[bytes | None]) -> None:
        del self._loading[document_id, fence]
        if not done.cancelled():
            done.exception()  # looked at, even when everybody who waited for it has left

    async def _ask(self, document_id: str) -> tuple[bytes, bytes | None]:
        """The fence, b"" before the first entry of the bucket; and the pending document."""
        try:
            # Not a transaction: the order is what matters.
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hget(names.FENCES, str(names.fence(document_id)))
                pipe.hget(names.pending(document_id), names.DOCUMENT)
                fence, waiting = await pipe.execute()
        except (RedisError, OSError, SettingsError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise StreamUnavailableError(reason, uncertain=False) from error
        return fence or b"", waiting

    async def _load(self, document_id: str, fence: bytes) -> bytes | None:
        # Nobody's request: its log lines must not carry the one that started it.
        structlog.contextvars.clear_contextvars()
        source = "shared"
        found = await self._shared.get(document_id, fence)
        if found is None:
            found = await self._store.get(document_id)
            source = "none" if found is None else "database"
            if found is not None:
                await self._shared.put(document_id, fence, found)
        if found is not None:
            self._local.put(document_id, fence, found)
        self._metrics.reads.labels(source).inc()
        return found

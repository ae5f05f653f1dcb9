"""Reads your own write: what was acknowledged is seen at once, in every process.

A question to the stream's server comes first: for the fence of the id's bucket (as a rule the
newest entry accepted for any id in it), and for the id's pending document. Whatever was accepted
before it is then either pending, and answers the read, or settled, and so committed. What the
database then says is therefore as new as the fence, and stays current for as long as the fence does
not move: an entry for the id would move it, in the same script that accepts the entry. So a cached
document is used if, and only if, its fence is the one just read, and then whether or not the
database is there. That is all there is to keep a cache from hiding a document
(docs/decisions/0026).
"""

from __future__ import annotations

from services.ingest_service.cache import LocalCache, SharedCache
from services.ingest_service.metrics import IngestMetrics
from services.ingest_service.store import Store
from services.shared.runtime.once import Once
from services.shared.runtime.together import Together
from services.shared.stream.accept import StreamUnavailableError
from services.shared.stream.ask import StreamReader, Word

LANES = 2
MOST_AT_ONCE = 200
PATIENCE = 5.0
"""Seconds for the stream's word, as a write has."""


class Reader:
    """The newest acknowledged document of an id, from wherever it can be had."""

    def __init__(
        self,
        stream: StreamReader,
        local: LocalCache,
        shared: SharedCache,
        store: Store,
        metrics: IngestMetrics,
    ) -> None:
        self._words: Together[str, Word] = Together(
            stream.ask,
            lanes=LANES,
            most=MOST_AT_ONCE,
            patience=PATIENCE,
            late=lambda reason: StreamUnavailableError(reason, uncertain=False),
        )
        self._local = local
        self._shared = shared
        self._store = store
        self._metrics = metrics
        self._pending = metrics.reads.labels("pending")
        self._kept = metrics.reads.labels("local")
        # Who finds another loading behind the same fence may have what that one gets.
        self._loads: Once[tuple[str, bytes], bytes | None] = Once(self._load)

    async def get(self, document_id: str) -> bytes | None:
        """The document's JSON; None when there is none.

        Raises StreamUnavailableError: without the stream's word nothing here is known to be the
        newest. Raises DatabaseUnavailableError.
        """
        word = await self._words.ask(document_id)
        if word.pending is not None:
            self._pending.inc()
            return word.pending
        fence = word.fence
        kept = self._local.get(document_id, fence)
        if kept is not None:
            self._kept.inc()
            return kept
        return await self._loads.get((document_id, fence))

    async def _load(self, behind: tuple[str, bytes]) -> bytes | None:
        document_id, fence = behind
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

"""What can be done with documents: the store decides, the cache only saves it reads."""

from __future__ import annotations

from collections.abc import Sequence

from services.rest_service.cache import UNKNOWN_VERSION, VersionedCache
from services.rest_service.documents.store import DocumentStore
from services.shared.postgres.database import DatabaseUnavailableError


class DocumentService:
    """Raises what the store raises; nothing of the cache ever surfaces."""

    def __init__(self, store: DocumentStore, cache: VersionedCache) -> None:
        self._store = store
        self._cache = cache

    async def write(self, documents: Sequence[tuple[str, bytes]]) -> None:
        """Return when all are durable; of several with one id the last wins."""
        newest = dict(documents)
        try:
            versions = await self._store.write(newest)
        except DatabaseUnavailableError:
            # A write whose answer got lost may have happened, or happen yet.
            await self._cache.invalidate({_key(id): UNKNOWN_VERSION for id in newest})
            raise
        # Nobody can have read what was not there before.
        again = {_key(id): version for id, version in versions.items() if version > 1}
        if again:
            await self._cache.invalidate(again)

    async def get(self, document_id: str) -> bytes | None:
        """The document's JSON; None when there is none."""
        key = _key(document_id)
        cached = await self._cache.get(key)
        if cached is not None:
            return cached.body
        found = await self._store.get(document_id)
        if found is None:
            return None
        version, document = found
        await self._cache.put(key, version, document)
        return document

    async def page(self, cursor: str | None, limit: int) -> bytes:
        """The page after `cursor`, or the first, JSON. Raises ProblemError for a cursor of none."""
        return await self._store.page(cursor, limit)


def _key(document_id: str) -> str:
    return f"synchronous:{document_id}"

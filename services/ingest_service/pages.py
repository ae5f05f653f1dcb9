"""Pages of the list, each asked of the database at most once in a while, by one request for all.

Who turns pages sees what is a moment old in any case: documents come into the database a while
after they were accepted. While the database is away the last page is better than none, for a while.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from services.ingest_service.settings import IngestSettings
from services.ingest_service.store import Store
from services.shared.postgres.database import DatabaseUnavailableError
from services.shared.runtime.logging import get_logger
from services.shared.runtime.once import Once
from services.shared.runtime.trouble import Trouble

log = get_logger(__name__)

MOST_BYTES = 8 * 1024 * 1024

_Query = tuple[str | None, int]


@dataclass(frozen=True, slots=True)
class _Page:
    body: bytes
    asked_at: float


class Pages:
    """The most recently used pages, up to a number of bytes."""

    def __init__(
        self,
        store: Store,
        settings: IngestSettings,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._fresh = settings.page_seconds
        self._stale = settings.page_stale_seconds
        self._most_bytes = most_bytes
        self._clock = clock
        self._kept: OrderedDict[_Query, _Page] = OrderedDict()
        self._size = 0
        self._loads: Once[_Query, bytes] = Once(self._load)
        self._trouble = Trouble()

    async def get(self, cursor: str | None, limit: int) -> bytes:
        """The page after `cursor`, JSON. Raises ProblemError or DatabaseUnavailableError."""
        query = cursor, limit
        kept = self._kept.get(query)
        if kept is not None and self._clock() - kept.asked_at < self._fresh:
            self._kept.move_to_end(query)
            return kept.body
        try:
            return await self._loads.get(query)
        except DatabaseUnavailableError as error:
            if kept is None or self._clock() - kept.asked_at >= self._stale:
                raise
            if self._trouble.worth_logging("stale"):
                log.warning("old_pages_are_shown", error=str(error))
            return kept.body

    async def _load(self, query: _Query) -> bytes:
        asked_at = self._clock()
        body = await self._store.page(*query)
        self._trouble.over()
        self._keep(query, _Page(body, asked_at))
        return body

    def _keep(self, query: _Query, new: _Page) -> None:
        old = self._kept.pop(query, None)
        self._size += len(new.body) - (len(old.body) if old else 0)
        self._kept[query] = new
        while self._size > self._most_bytes or len(self._kept) > 1000:
            _, dropped = self._kept.popitem(last=False)
            self._size -= len(dropped.body)

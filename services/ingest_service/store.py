"""Documents in the database, read only: the writer fills it."""

from __future__ import annotations

from collections.abc import Sequence

from services.shared.documents.newest import Newest
from services.shared.postgres.database import Database, DatabaseUnavailableError
from services.shared.runtime.together import Together

_GET = "SELECT id, document::text AS document FROM documents WHERE id = ANY($1)"

_LANES = 2
_MOST_AT_ONCE = 200
_PATIENCE = 10.0


class Store:
    """Every method raises DatabaseUnavailableError when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._newest = Newest(database, "documents")
        self._documents: Together[str, bytes | None] = Together(
            self._get_all,
            lanes=_LANES,
            most=_MOST_AT_ONCE,
            patience=_PATIENCE,
            late=DatabaseUnavailableError,
        )

    async def get(self, document_id: str) -> bytes | None:
        """The document's JSON; None when there is none."""
        return await self._documents.ask(document_id)

    async def _get_all(self, ids: Sequence[str]) -> list[bytes | None]:
        rows = await self._database.fetch(_GET, ids)
        found = {row["id"]: row["document"].encode() for row in rows}
        return [found.get(one) for one in ids]

    async def page(self, cursor: str | None, limit: int) -> bytes:
        """The page after `cursor`, or the first, JSON. Raises ProblemError for a cursor of none."""
        return await self._newest.page(cursor, limit)

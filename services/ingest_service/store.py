"""Documents in the database, read only: the writer fills it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from services.shared.documents.cursors import Position
from services.shared.documents.pages import Stored
from services.shared.postgres.database import Database, DatabaseUnavailableError
from services.shared.runtime.together import Together

_GET = "SELECT id, document::text AS document FROM documents WHERE id = ANY($1)"
# By creation, which never changes, so that pages do not shift under who turns them. A bound rather
# than "$1 IS NULL OR": with that, the generic plan of a prepared statement reads the index from its
# end instead of from $1.
_NEWEST = """
    SELECT id, document::text AS document, created_at FROM documents
    WHERE (created_at, id) < ($1, $2)
    ORDER BY created_at DESC, id DESC LIMIT $3"""


_LANES = 2
_MOST_AT_ONCE = 200
_PATIENCE = 10.0
_PAST_ALL = Position(datetime.max.replace(tzinfo=UTC), "")


class Store:
    """Every method raises DatabaseUnavailableError when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database
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

    async def newest(self, before: Position | None, limit: int) -> list[Stored]:
        """At most `limit` documents, newest first, that come after `before`."""
        start = before or _PAST_ALL
        rows = await self._database.fetch(_NEWEST, start.created_at, start.id, limit)
        return [Stored(row["document"], Position(row["created_at"], row["id"])) for row in rows]

"""Documents in PostgreSQL, one statement per request."""

from __future__ import annotations

from collections.abc import Mapping

from services.shared.documents.newest import Newest
from services.shared.postgres.database import Database

# Rows are locked in the order of their ids, so two batches cannot wait for each other.
_WRITE = """
    INSERT INTO synchronous_documents AS stored (id, document)
    SELECT id, document::jsonb FROM unnest($1::text[], $2::text[]) AS given (id, document)
    ORDER BY id COLLATE "C"
    ON CONFLICT (id) DO UPDATE
    SET document = excluded.document, version = stored.version + 1, updated_at = now()
    RETURNING id, version"""
_GET = "SELECT version, document::text AS document FROM synchronous_documents WHERE id = $1"


class DocumentStore:
    """Every method raises DatabaseUnavailableError when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._newest = Newest(database, "synchronous_documents")

    async def write(self, documents: Mapping[str, bytes]) -> dict[str, int]:
        """Store them all, or none; the version that each has now."""
        texts = [document.decode() for document in documents.values()]
        rows = await self._database.fetch(_WRITE, list(documents), texts)
        return {row["id"]: row["version"] for row in rows}

    async def get(self, document_id: str) -> tuple[int, bytes] | None:
        """Version and JSON; None when there is none."""
        row = await self._database.fetchrow(_GET, document_id)
        return None if row is None else (row["version"], row["document"].encode())

    async def page(self, cursor: str | None, limit: int) -> bytes:
        """The page after `cursor`, or the first, JSON. Raises ProblemError for a cursor of none."""
        return await self._newest.page(cursor, limit)

"""The one statement of the writer."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from services.shared.postgres.database import Database
from services.stream_writer.entries import Entry
from services.stream_writer.refusals import RefusedError

# What is stored already, or is older than what is stored, changes nothing, so an entry may come
# again at any time and from anybody. Rows are locked in the order that they are given in.
UPSERT = """
INSERT INTO documents AS stored (id, document, entry_ms, entry_seq)
SELECT id, document::jsonb, entry_ms, entry_seq
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
     AS t(id, document, entry_ms, entry_seq, place)
ORDER BY place
ON CONFLICT (id) DO UPDATE
SET document = excluded.document, entry_ms = excluded.entry_ms, entry_seq = excluded.entry_seq,
    updated_at = now()
WHERE (excluded.entry_ms, excluded.entry_seq) > (stored.entry_ms, stored.entry_seq)
"""


def is_refusal(error: BaseException) -> bool:
    """Whether the database blames the data: class 22, 23 or 54, or a value it cannot be sent."""
    if isinstance(error, asyncpg.PostgresError):
        # A tuple, not one string: sqlstate is absent from some of asyncpg's own errors.
        return str(getattr(error, "sqlstate", ""))[:2] in {"22", "23", "54"}
    return isinstance(error, ValueError)


class DocumentStore:
    """Writes documents to datadb."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, entries: Sequence[Entry]) -> int:
        """Store `entries`, one per document, in one transaction; how many changed a document.

        Raises RefusedError when the data of any is refused, DatabaseUnavailableError and asyncpg's
        errors when the outcome is open.
        """
        try:
            async with self._database.connection() as connection:
                answer = await connection.execute(
                    UPSERT,
                    [entry.document_id for entry in entries],
                    [entry.document for entry in entries],
                    [entry.version[0] for entry in entries],
                    [entry.version[1] for entry in entries],
                )
        except Exception as error:
            if is_refusal(error):
                raise RefusedError(f"{type(error).__name__}: {error}") from error
            raise
        return int(answer.rsplit(" ", 1)[1])  # "INSERT 0 17"

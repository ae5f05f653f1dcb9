"""Pages of documents, newest first, of a table in PostgreSQL: bound in number and in bytes.

The server stops where the page is full. So neither it nor the process ever holds more of a page
than the bound and one document, however large documents are and however many are asked for.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from services.shared.documents.cursors import Position, decode, encode
from services.shared.postgres.database import Database

MOST_BYTES: Final = 4 * 1024 * 1024
"""Of a page's documents, unless a single one is larger."""
_PAST_ALL: Final = Position(datetime.max.replace(tzinfo=UTC), "")


def statement(table: str) -> str:
    """The documents of a page, then one row without a document if there are more.

    Takes the position to start behind, the number of documents and of bytes.
    """
    # Step by step, each from where the one before was: a window sum would have to unpack all
    # documents before it could leave any out. By creation, which never changes, so that pages do
    # not shift under who turns them.
    return f"""
    WITH RECURSIVE page AS (
        SELECT 0 AS place, $1::timestamptz AS created_at, $2::text COLLATE "C" AS id,
               ''::bytea AS document, 0::bigint AS bytes
        UNION ALL
        SELECT place + 1, next.created_at, next.id,
               CASE WHEN place = 0 OR place < $3 AND bytes + octet_length(next.document) <= $4
                    THEN next.document END,
               bytes + octet_length(next.document)
        FROM page, LATERAL (
            SELECT created_at, id, convert_to(document::text, 'UTF8') AS document FROM {table}
            WHERE (created_at, id) < (page.created_at, page.id)
            ORDER BY created_at DESC, id DESC LIMIT 1
        ) AS next
        WHERE page.document IS NOT NULL
    )
    SELECT document, created_at, id FROM page WHERE place > 0"""  # noqa: S608 - names of ours


class Newest:
    """The documents of a table that has `id`, `document` and `created_at`, and an index by
    (created_at, id)."""

    def __init__(self, database: Database, table: str, most_bytes: int = MOST_BYTES) -> None:
        self._database = database
        self._statement = statement(table)
        self._most_bytes = most_bytes

    async def page(self, cursor: str | None, limit: int) -> bytes:
        """The page after `cursor`, or the first, JSON. Raises ProblemError when no page had such a
        cursor, DatabaseUnavailableError when the database is away."""
        start = decode(cursor) if cursor is not None else _PAST_ALL
        rows = await self._database.fetch(
            self._statement, start.created_at, start.id, limit, self._most_bytes
        )
        following = b"null"
        if rows and rows[-1]["document"] is None:
            rows.pop()
            last = rows[-1]
            following = f'"{encode(Position(last["created_at"], last["id"]))}"'.encode()
        documents = b",".join([row["document"] for row in rows])
        return b"".join((b'{"items":[', documents, b'],"next_cursor":', following, b"}"))

"""Keys and fields of the document stream: who fills it and who empties it must agree on them."""

from __future__ import annotations

from typing import Final
from zlib import crc32

STREAM: Final = "data:stream"
"""Every accepted document that is not in the database yet, one entry each, oldest first."""
GROUP: Final = "stream-writer"
"""The consumer group that empties it."""
DEAD: Final = "data:dead"
"""Entries that can never be stored, with the reason."""
PENDING: Final = "data:pending:"
"""Before a document's id: a hash with the newest entry of that id that is not settled, as ENTRY
and DOCUMENT. It goes when that entry is settled, or a moment later."""
FENCES: Final = "data:fences"
"""A hash: bucket of ids to the newest entry that was accepted for any of them. Never cleaned up,
and never more than BUCKETS fields."""
BUDGET: Final = "data:budget"
"""The time line of commits that all writers share: when the next one may be."""

ENTRY: Final = "e"
DOCUMENT: Final = "d"

FIELD_ID: Final = "id"
FIELD_DOCUMENT: Final = "doc"
FIELD_TRACEPARENT: Final = "tp"
FIELD_CORRELATION_ID: Final = "cid"

BUCKETS: Final = 65_536


def pending(document_id: str) -> str:
    """The key under which the newest unsettled entry of that id is found."""
    return PENDING + document_id


def fence(document_id: str) -> int:
    """The bucket of an id. Many ids share one: an entry for any of them moves its fence."""
    return crc32(document_id.encode()) % BUCKETS

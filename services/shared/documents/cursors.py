"""Where the next page of documents begins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.shared.documents.bodies import is_id
from services.shared.http.cursors import bad_cursor
from services.shared.runtime.cursors import seal, unseal

PATTERN = "^[A-Za-z0-9_-]{4,1200}$"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = 10**17
"""Microseconds; the year is 5138."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a document stands among all: by when it came into the database, then by its id."""

    created_at: datetime
    id: str


def encode(position: Position) -> str:
    """The cursor of the page after the document at `position`."""
    text = f"{(position.created_at - _EPOCH) // timedelta(microseconds=1)} {position.id}"
    return seal(text)


def decode(cursor: str) -> Position:
    """Raises ProblemError when encode() never gave such a cursor."""
    microseconds, _, document_id = unseal(cursor).partition(" ")
    number = int(microseconds) if microseconds.isdecimal() and len(microseconds) <= 17 else _LAST
    if number >= _LAST or not is_id(document_id):
        raise bad_cursor()
    return Position(_EPOCH + timedelta(microseconds=number), document_id)

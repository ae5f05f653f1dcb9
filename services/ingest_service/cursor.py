"""Where the next page begins, as a text that clients need not understand."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta

from services.ingest_service.documents import is_id
from services.ingest_service.store import Position
from services.shared.http.problem import FieldError, ProblemError

PATTERN = "^[A-Za-z0-9_-]{4,1200}$"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = 10**17
"""Microseconds; the year is 5138."""


def encode(position: Position) -> str:
    """The cursor of the page after the document at `position`."""
    text = f"{(position.created_at - _EPOCH) // timedelta(microseconds=1)} {position.id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str) -> Position:
    """Raises ProblemError when encode() never gave such a cursor."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    microseconds, _, document_id = text.partition(" ")
    number = int(microseconds) if microseconds.isdecimal() and len(microseconds) <= 17 else _LAST
    if number >= _LAST or not is_id(document_id):
        reason = "must be the next_cursor of an earlier page; leave it out for the first"
        raise ProblemError(
            422,
            "bad-cursor",
            f"cursor {reason}",
            errors=[FieldError(field="query.cursor", reason=reason)],
        )
    return Position(_EPOCH + timedelta(microseconds=number), document_id)

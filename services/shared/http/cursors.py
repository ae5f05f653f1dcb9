"""Where the next page begins, as a text that clients need not understand."""

from __future__ import annotations

import base64
import binascii

from services.shared.http.problem import FieldError, ProblemError


def seal(text: str) -> str:
    """The cursor that says `text`."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def unseal(cursor: str) -> str:
    """What seal() was given; empty when it never gave such a cursor."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def bad_cursor() -> ProblemError:
    """422: the cursor is of no page."""
    reason = "must be the next_cursor of an earlier page; leave it out for the first"
    return ProblemError(
        422,
        "bad-cursor",
        f"cursor {reason}",
        errors=[FieldError(field="query.cursor", reason=reason)],
    )

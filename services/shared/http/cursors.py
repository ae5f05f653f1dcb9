"""What is said of a cursor that nobody was given."""

from __future__ import annotations

from services.shared.http.problem import FieldError, ProblemError


def bad_cursor() -> ProblemError:
    """422: the cursor is of no page."""
    reason = "must be the next_cursor of an earlier page; leave it out for the first"
    return ProblemError(
        422,
        "bad-cursor",
        f"cursor {reason}",
        errors=[FieldError(field="query.cursor", reason=reason)],
    )

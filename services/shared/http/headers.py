"""Request headers as more than one service reads them."""

from __future__ import annotations

import re

from fastapi import Request
from pydantic import WithJsonSchema

from services.shared.http.problem import ProblemError

KEY_EXAMPLE = '"8e03978e-40d5-43dd-bc93-6894a57f9324"'


def value(request: Request, name: str) -> str | None:
    """A header's value; several of one name count as one list (RFC 9110, section 5.3)."""
    values = request.headers.getlist(name)
    return ", ".join(values) if values else None


def documented(pattern: str, example: str) -> WithJsonSchema:
    """For the documentation alone: what does not match is 400, and FastAPI would make it 422."""
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


def json_only(request: Request) -> None:
    """A dependency of routes whose body is JSON and declared so. Raises ProblemError."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ProblemError(
            415, "not-json", "the body must be JSON; send Content-Type: application/json"
        )


def key_pattern(longest: int) -> str:
    """Of an Idempotency-Key: a string of RFC 9651 without escapes; or, as many clients send it,
    the bare key."""
    return rf'^("[ !#-\[\]-~]{{1,{longest}}}"|[A-Za-z0-9._~:/+=-]{{1,{longest}}})$'


def idempotency_key(request: Request, longest: int) -> str | None:
    """The request's Idempotency-Key without its quotes. Raises ProblemError."""
    given = value(request, "idempotency-key")
    if given is None:
        return None
    if not re.fullmatch(key_pattern(longest), given):
        raise ProblemError(
            400,
            "bad-idempotency-key",
            f"Idempotency-Key: must be one string of 1 to {longest} visible ASCII characters and"
            " spaces in double quotes, without quotes or backslashes in it, as in"
            ' "8e03978e-40d5-43dd"; the quotes may be left out around letters, digits and'
            " ._~:/+=-",
        )
    return given.strip('"')

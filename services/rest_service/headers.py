"""The request headers that writes heed: If-Match and Idempotency-Key."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Header, Request
from pydantic import WithJsonSchema

from services.shared.http.problem import ProblemError

# 18 digits at most: what is longer than a bigint cannot be a version of ours.
_IF_MATCH = r'^(\*|"[0-9]{1,18}")$'
# A string of RFC 9651 without escapes; or, as many clients send it, the bare key.
_IDEMPOTENCY_KEY = r'^("[ !#-\[\]-~]{1,255}"|[A-Za-z0-9._~:/+=-]{1,255})$'


def _header(request: Request, name: str) -> str | None:
    """A header's value; several of one name count as one list (RFC 9110, section 5.3)."""
    values = request.headers.getlist(name)
    return ", ".join(values) if values else None


def _text(pattern: str, example: str) -> WithJsonSchema:
    # For the documentation alone: what does not match is 400, and FastAPI would make it 422.
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


def _expected_version(
    request: Request,
    _if_match: Annotated[
        str | None,
        _text(_IF_MATCH, '"3"'),
        Header(
            alias="If-Match",
            description="The ETag of the version to change; without it, any version",
        ),
    ] = None,
) -> int | None:
    given = _header(request, "if-match")
    if given is None:
        return None
    if not re.fullmatch(_IF_MATCH, given):
        raise ProblemError(
            400, "bad-if-match", "If-Match: must be one strong ETag as GET or PUT returned it"
        )
    return None if given == "*" else int(given.strip('"'))


def _idempotency_key(
    request: Request,
    _key: Annotated[
        str | None,
        _text(_IDEMPOTENCY_KEY, '"8e03978e-40d5-43dd-bc93-6894a57f9324"'),
        Header(
            alias="Idempotency-Key",
            description=(
                "Makes it safe to send this request again when its answer is lost: with the same"
                " key and the same content, the answer is that of the first time and nothing is"
                " created again. A new UUID for every resource is a good key. Remembered for at"
                " least 24 hours unless the service is set up otherwise."
            ),
        ),
    ] = None,
) -> str | None:
    given = _header(request, "idempotency-key")
    if given is None:
        return None
    if not re.fullmatch(_IDEMPOTENCY_KEY, given):
        raise ProblemError(
            400,
            "bad-idempotency-key",
            "Idempotency-Key: must be one string of 1 to 255 visible ASCII characters and spaces"
            ' in double quotes, without quotes or backslashes in it, as in "8e03978e-40d5-43dd";'
            " the quotes may be left out around letters, digits and ._~:/+=-",
        )
    return given.strip('"')


ExpectedVersion = Annotated[int | None, Depends(_expected_version)]
IdempotencyKey = Annotated[str | None, Depends(_idempotency_key)]

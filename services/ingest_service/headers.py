"""The request header that writes heed: Idempotency-Key, which becomes the document's id."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Header, Request
from pydantic import WithJsonSchema

from services.ingest_service.documents import MAX_ID
from services.shared.http.problem import ProblemError

# A string of RFC 9651 without escapes; or, as many clients send it, the bare key.
_KEY = rf'^("[ !#-\[\]-~]{{1,{MAX_ID}}}"|[A-Za-z0-9._~:/+=-]{{1,{MAX_ID}}})$'


def _idempotency_key(
    request: Request,
    _key: Annotated[
        str | None,
        # For the documentation alone: what does not match is 400, and FastAPI would make it 422.
        WithJsonSchema(
            {
                "type": "string",
                "pattern": _KEY,
                "examples": ['"8e03978e-40d5-43dd-bc93-6894a57f9324"'],
            }
        ),
        Header(
            alias="Idempotency-Key",
            description=(
                "The id of the one document in the body, for clients that cannot put it there. A"
                " document that has an id must have this one. Sending the same id again replaces"
                " the document, so a request whose answer is lost can simply be sent again."
            ),
        ),
    ] = None,
) -> str | None:
    values = request.headers.getlist("idempotency-key")
    if not values:
        return None
    # Several of one name count as one list (RFC 9110, section 5.3).
    given = ", ".join(values)
    if not re.fullmatch(_KEY, given):
        raise ProblemError(
            400,
            "bad-idempotency-key",
            f"Idempotency-Key: must be one string of 1 to {MAX_ID} visible ASCII characters and"
            ' spaces in double quotes, without quotes or backslashes in it, as in "8e03978e-40d5";'
            " the quotes may be left out around letters, digits and ._~:/+=-",
        )
    return given.strip('"')


IdempotencyKey = Annotated[str | None, Depends(_idempotency_key)]

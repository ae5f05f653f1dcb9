"""The request header that writes heed: Idempotency-Key, which becomes the document's id."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Request

from services.shared.documents.bodies import MAX_ID
from services.shared.http import headers

_KEY = headers.key_pattern(MAX_ID)


async def _idempotency_key(
    request: Request,
    _key: Annotated[
        str | None,
        headers.documented(_KEY, headers.KEY_EXAMPLE),
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
    return headers.idempotency_key(request, MAX_ID)


IdempotencyKey = Annotated[str | None, Depends(_idempotency_key)]

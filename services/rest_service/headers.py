"""The request headers that writes heed: If-Match and Idempotency-Key."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Header, Request

from services.shared.http import headers
from services.shared.http.problem import ProblemError

# 18 digits at most: what is longer than a bigint cannot be a version of ours.
_IF_MATCH = r'^(\*|"[0-9]{1,18}")$'
LONGEST_KEY = 255
_KEY = headers.key_pattern(LONGEST_KEY)


async def _expected_version(
    request: Request,
    _if_match: Annotated[
        str | None,
        headers.documented(_IF_MATCH, '"3"'),
        Header(
            alias="If-Match",
            description="The ETag of the version to change; without it, any version",
        ),
    ] = None,
) -> int | None:
    given = headers.value(request, "if-match")
    if given is None:
        return None
    if not re.fullmatch(_IF_MATCH, given):
        raise ProblemError(
            400, "bad-if-match", "If-Match: must be one strong ETag as GET or PUT returned it"
        )
    return None if given == "*" else int(given.strip('"'))


async def _idempotency_key(
    request: Request,
    _key: Annotated[
        str | None,
        headers.documented(_KEY, headers.KEY_EXAMPLE),
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
    return headers.idempotency_key(request, LONGEST_KEY)


ExpectedVersion = Annotated[int | None, Depends(_expected_version)]
IdempotencyKey = Annotated[str | None, Depends(_idempotency_key)]

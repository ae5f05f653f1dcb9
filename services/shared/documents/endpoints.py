"""What endpoints that take and show documents have in common: called past the framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request

from services.shared.documents import bodies
from services.shared.http.direct import Call, DirectRoutes, Endpoint, Explain, Reply
from services.shared.http.headers import idempotency_key, json_only
from services.shared.http.problem import ProblemError


def answer_directly(
    direct: DirectRoutes,
    path: str,
    explain: Explain,
    *,
    take: Endpoint,
    show_page: Endpoint,
    show: Endpoint,
) -> None:
    """Have the routes at `path`, and below it by id, answered past the framework."""
    direct.add("POST", path, take, explain)
    direct.add("GET", path, show_page, explain)
    direct.add("GET", f"{path}/{{document_id:path}}", show, explain)


def given(call: Call, limits: bodies.Limits) -> list[tuple[str, bytes]]:
    """The documents of a POST, in order: id and JSON of each. Raises ProblemError."""
    # What most clients send needs no closer look.
    if call.fields.get(b"content-type") != b"application/json":
        json_only(Request(call.scope))
    key = None
    if b"idempotency-key" in call.fields:
        key = idempotency_key(Request(call.scope), bodies.MAX_ID)
    return bodies.read(call.body, key, limits)


async def shown(call: Call, get: Callable[[str], Awaitable[bytes | None]]) -> Reply:
    """The answer to a GET with an id. Raises ProblemError, and what `get` raises."""
    document = await get(call.rest) if bodies.is_id(call.rest) else None
    if document is None:
        raise ProblemError(404, "no-such-document", "no document has this id")
    return Reply(200, document)

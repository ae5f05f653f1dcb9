"""What every HTTP request gets: correlation id, trace, size limit, metrics, a log line, and a
problem document whatever goes wrong."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.shared.http import problem
from services.shared.http.books import METHODS, QUIET, Books
from services.shared.http.direct import DIRECT, Call, Found, Reply
from services.shared.http.gate import Gate
from services.shared.http.incoming import (
    DisconnectedError,
    Fields,
    at_hand,
    has_body,
    read_in_time,
    replay,
)
from services.shared.http.joining import JOINED, JoinedWrites
from services.shared.http.problem import FieldError, ProblemError
from services.shared.runtime import context
from services.shared.runtime.logging import get_logger
from services.shared.runtime.metrics import HttpMetrics
from services.shared.runtime.settings import AccessLog
from services.shared.tracing import spans

log = get_logger(__name__)


class RequestContext:
    """ASGI middleware; add it last so that it is the outermost.

    Whom `gate` does not let through is answered with what it says, and nothing of the body is read.
    Else reads it, at most `max_body` bytes, or what `larger_bodies` has for a path's beginning,
    before the application sees the request: a bigger one is answered with 413 and never held in
    memory, one that takes more than `body_seconds` to arrive with 408.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: HttpMetrics,
        *,
        gate: Gate | None = None,
        max_body: int = 256 * 1024,
        larger_bodies: Mapping[str, int] | None = None,
        body_seconds: float = 30,
        access_log: AccessLog = "notable",
    ) -> None:
        self._app = app
        self._gate = gate
        self._books = Books(metrics, access_log == "all")
        self._max_body = max_body
        self._larger_bodies = tuple((larger_bodies or {}).items())
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        # Of several with one name the first.
        fields: Fields = dict(reversed(scope["headers"]))
        correlation_id = context.accept_correlation_id(_text(fields.get(b"x-correlation-id")))
        method, path = scope["method"], scope["path"]
        caller = _text(fields.get(b"traceparent"))
        trace, span = spans.server(caller, quiet=path in QUIET)
        context.bind(correlation_id, trace, span)
        traceparent = trace.traceparent
        state = scope.setdefault("state", {})
        state["correlation_id"], state["traceparent"] = correlation_id, traceparent
        found: Found | None = scope.get(DIRECT)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                field = (b"x-correlation-id", correlation_id.encode())
                message["headers"] = [*message.get("headers", ()), field]
            await send(message)

        try:
            if self._gate is not None:
                await self._gate.pass_through(scope, fields, found)
            body = await self._read(fields, scope, receive) if has_body(method, fields) else b""
            if found is None:
                await self._app(scope, replay(body, receive), send_with_id)
            else:
                call = Call(scope, fields, body, found.rest, correlation_id, traceparent)
                reply = await found.endpoint(call)
                status = reply.status
                await _send(reply, correlation_id, scope, send)
        except ProblemError as error:
            await answer(scope, error)(scope, receive, send_with_id)
        except DisconnectedError:
            status = 499  # nobody is left to answer; nginx's number for it
        except Exception as error:
            known = _known(error, found)
            if status:
                raise  # half a response is out: only closing the connection is honest now
            await answer(scope, known)(scope, receive, send_with_id)
        finally:
            self._note(scope, found, status or 500, started)

    def _note(self, scope: Scope, found: Found | None, status: int, started: float) -> None:
        # Anything may stand in the method of a request; names must stay few.
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = found.template if found else _route_of(scope)
        self._books.note(method, route, scope["path"], status, time.perf_counter() - started)
        span = context.span()
        if span is not None:
            spans.answered(span, method, route, status, _about(scope))

    async def _read(self, fields: Fields, scope: Scope, receive: Receive) -> bytes:
        most = self._max_body
        for part, more in self._larger_bodies:
            if scope["path"].startswith(part):
                most = more
                break
        body = at_hand(scope, most)
        if body is None:
            body = await read_in_time(fields, receive, most, self._body_seconds)
        return body


def _about(scope: Scope) -> dict[str, str]:
    # The path, not the query: nobody knows what stands there.
    return {
        "url.path": scope["path"][:200],
        "url.scheme": scope.get("scheme", "http"),
        "millrace.correlation_id": scope["state"]["correlation_id"],
    }


def _known(error: Exception, found: Found | None) -> ProblemError:
    known = found.explain(error) if found else None
    if known is not None:
        return known
    log.exception("request_failed")
    return ProblemError(
        500, "internal", "an error of ours; give us the correlation_id when you report it"
    )


def _route_of(scope: Scope) -> str:
    # Starlette's plain routes do not say which they are.
    path = scope["path"]
    return getattr(scope.get("route"), "path", path if path in QUIET else "unmatched")


async def _send(reply: Reply, correlation_id: str, scope: Scope, send: Send) -> None:
    headers = [
        (b"content-length", b"%d" % len(reply.body)),
        (b"content-type", b"application/json"),
        *reply.headers,
        (b"x-correlation-id", correlation_id.encode()),
    ]
    joined: JoinedWrites | None = scope.get(JOINED)
    if joined is not None and joined.answer(reply.status, headers, reply.body):
        return
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def answer(scope: Scope, error: ProblemError) -> Response:
    """The problem document for a request."""
    return problem.response(error, scope["path"], scope["state"]["correlation_id"])


def install_problem_handlers(app: FastAPI) -> None:
    """Turn every refusal of the framework into a problem document too."""

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, ProblemError)
        return answer(request.scope, error)

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(request.scope, validation_problem(error.errors()))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind, detail = _HTTP.get(error.status_code, ("http", str(error.detail)))
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_methods_of(request))
        return answer(request.scope, ProblemError(error.status_code, kind, detail, headers=headers))

    app.add_exception_handler(ProblemError, on_problem)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)


def _methods_of(request: Request) -> list[str]:
    """What the path takes. Starlette names the methods of the first route alone, and a path of
    ours has a route for each."""
    routes = request.app.routes
    return sorted(
        method
        for method in METHODS
        if any(r.matches({**request.scope, "method": method})[0] is Match.FULL for r in routes)
    )


_HTTP = {
    400: ("malformed-body", "the body cannot be read as JSON in UTF-8; correct it"),
    404: ("no-such-path", "nothing is served at this path; see /openapi.json"),
    405: (
        "method-not-allowed",
        "this path does not take this method; the Allow header lists its own",
    ),
}


def validation_problem(errors: Sequence[Any]) -> ProblemError:
    """What pydantic, or the framework, says of a request."""
    if any(item["type"] == "json_invalid" for item in errors):
        return ProblemError(400, *_HTTP[400])
    # The rejected values are not repeated: they may be huge, secret, or not encodable.
    fields = [
        FieldError(field=".".join(str(part) for part in item["loc"]), reason=item["msg"])
        for item in errors[:20]
    ]
    named = ", ".join(sorted({field.field for field in fields}))
    return ProblemError(
        422, "invalid-request", f"refused: {named}; see errors for the reasons", errors=fields
    )

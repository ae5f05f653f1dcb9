"""What every HTTP request gets: correlation id, trace, size limit, metrics, a log line, and a
problem document whatever goes wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.shared.http import problem
from services.shared.http.problem import FieldError, ProblemError
from services.shared.runtime import tracing
from services.shared.runtime.logging import get_logger
from services.shared.runtime.metrics import HttpMetrics

log = get_logger(__name__)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Probes and scrapes come every few seconds and say nothing when they succeed.
_QUIET = frozenset({"/health", "/ready", "/metrics"})


class RequestContext:
    """ASGI middleware; add it last so that it is the outermost.

    Reads the body, at most `max_body` bytes, or what `larger_bodies` has for a path's beginning,
    before the application sees the request: a bigger one is answered with 413 and never held in
    memory, one that takes more than `body_seconds` to arrive with 408.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: HttpMetrics,
        max_body: int = 256 * 1024,
        larger_bodies: Mapping[str, int] | None = None,
        body_seconds: float = 30,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._max_body = max_body
        self._larger_bodies = tuple((larger_bodies or {}).items())
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        correlation_id = tracing.accept_correlation_id(headers.get("x-correlation-id"))
        trace = tracing.continue_trace(headers.get("traceparent"))
        tracing.bind(correlation_id, trace)
        scope.setdefault("state", {}).update(
            correlation_id=correlation_id, traceparent=trace.traceparent
        )
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Correlation-ID"] = correlation_id
            await send(message)

        try:
            body = await self._read_in_time(scope["path"], headers, receive)
            await self._app(scope, _replay(body, receive), send_with_id)
        except ProblemError as error:
            await answer(scope, error)(scope, receive, send_with_id)
        except _DisconnectedError:
            status = 499  # nobody is left to answer; nginx's number for it
        except Exception:
            log.exception("request_failed")
            if status:
                raise  # half a response is out: only closing the connection is honest now
            error = ProblemError(
                500, "internal", "an error of ours; give us the correlation_id when you report it"
            )
            await answer(scope, error)(scope, receive, send_with_id)
        finally:
            self._observe(scope, status, time.perf_counter() - started)

    async def _read_in_time(self, path: str, headers: Headers, receive: Receive) -> bytes:
        try:
            async with asyncio.timeout(self._body_seconds):
                return await self._read(self._most(path), headers, receive)
        except TimeoutError:
            raise ProblemError(
                408,
                "body-too-slow",
                f"the body did not arrive within {self._body_seconds:g} s; send it again",
                headers={"Connection": "close"},
            ) from None

    def _most(self, path: str) -> int:
        return next(
            (most for part, most in self._larger_bodies if path.startswith(part)), self._max_body
        )

    async def _read(self, most: int, headers: Headers, receive: Receive) -> bytes:
        too_large = ProblemError(
            413,
            "body-too-large",
            f"the body is larger than {most} bytes; send less",
            headers={"Connection": "close"},
        )
        # A client that is cut off while it sends never reads the answer, so what is moderately
        # too large is read to its end and thrown away.
        patience = 32 * most
        declared = headers.get("content-length", "0")
        if declared.isascii() and declared.isdecimal() and int(declared[:20]) > patience:
            raise too_large
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _DisconnectedError
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > patience:
                raise too_large
            if size <= most:
                chunks.append(chunk)
            if not message.get("more_body", False):
                break
        if size > most:
            raise too_large
        return b"".join(chunks)

    def _observe(self, scope: Scope, status: int, seconds: float) -> None:
        # Anything may stand in the path or the method of a request; labels must stay few.
        method = scope["method"] if scope["method"] in _METHODS else "other"
        path = scope["path"]
        unmatched = path if path in _QUIET else "unmatched"  # Starlette's plain routes say nothing
        route = getattr(scope.get("route"), "path", unmatched)
        self._metrics.requests.labels(method, route, str(status or 500)).inc()
        self._metrics.duration.labels(method, route).observe(seconds)
        if route not in _QUIET or status >= 400:
            log.info(
                "request",
                method=method,
                route=route,
                path=path[:200],
                status=status or 500,
                duration_ms=round(seconds * 1000, 2),
            )


class _DisconnectedError(Exception):
    """The client left before its request was complete."""


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()  # waits for the disconnect
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


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
        return answer(request.scope, _validation_problem(error.errors()))

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
        for method in _METHODS
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


def _validation_problem(errors: Sequence[Any]) -> ProblemError:
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

"""What a client may make the server hold, and for how long, before an application sees a request.

uvicorn's httptools protocol keeps whatever a client sends until the headers are complete, for as
long as that takes, and adds the trailers of a body to the request's headers. Here both are bound.
"""

from __future__ import annotations

import asyncio
from enum import Enum

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from services.contracts.ids import new_id
from services.shared.http import problem, refusals
from services.shared.http.joining import JoinedWrites
from services.shared.http.problem import ProblemError
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)

MAX_TARGET = 8 * 1024
"""Bytes of path and query. RFC 9112, section 3, asks for 8000 in a request line at least."""
MAX_FIELDS = 32 * 1024
"""Bytes of all header fields and trailers, each taken for 32 more than its name and value have, as
RFC 9113, section 6.5.2, counts: what is kept of a field costs memory even where it is empty."""
MAX_PIPELINED = 100
"""Requests of a connection that wait for the one before to be answered."""
CLIENT_SECONDS = 30.0
"""For a client to send the headers it has begun, or the rest of a body that is answered already."""

_FIELD_OVERHEAD = 32
_PART = 16 * 1024  # what the parser gets at once, so that limits are looked at often enough
_LINGER_SECONDS = 5.0


class _State(Enum):
    EMPTY = "a request is due, nothing of it has come"
    HEAD = "within request line and headers"
    BODY = "within body and trailers"
    REST = "between two requests"


class _RefusedError(Exception):
    """Stops the parser."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection whose client is held to the limits of this module.

    What breaks them, or is no HTTP, is answered in its turn with a problem document and the end of
    the connection: 414, 431, 408 or 400. No application hears of it, unless it is in the body.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._state = _State.EMPTY
        self._fields = 0  # bytes of the fields that are complete
        self._unparsed = 0  # bytes that came since the parser last gave something
        self._deadline: asyncio.TimerHandle | None = None
        self._refusal: ProblemError | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        start = 0
        while start < len(data):
            if self._refusal is not None or self.transport.is_closing():
                return
            start += self._feed(data[start : start + _PART])
        self._watch()

    def _feed(self, part: bytes) -> int:
        """Parse `part`, or its beginning; how much of it."""
        assert self.parser is not None, "it goes with the connection"
        parsed = len(part)
        self._unparsed += parsed
        try:
            try:
                self.parser.feed_data(part)
            except httptools.HttpParserUpgrade as upgrade:
                # None is offered (ws="none"): the request is answered as any other, and what comes
                # behind it is the next one (RFC 9110, section 7.8).
                parsed = upgrade.args[0]
                self._unparsed = 0
            if self._fields + self._unparsed > MAX_FIELDS:
                self._stop_parsing(self._too_large())
        except (httptools.HttpParserError, _RefusedError):
            self._refuse(self._refusal or refusals.malformed())
        return parsed

    # Called by the parser, which turns an exception into an HttpParserError.
    def on_message_begin(self) -> None:
        # Not before: blank lines, or the rest of a body that is answered, are no sign of life.
        self._unset_keepalive_if_required()
        if len(self.pipeline) >= MAX_PIPELINED:
            # uvicorn reads on after each answer, however many requests still wait for theirs.
            self._stop_parsing(refusals.too_many_pipelined(MAX_PIPELINED))
        super().on_message_begin()
        self._state = _State.HEAD
        self._fields = self._unparsed = 0

    def on_url(self, url: bytes) -> None:
        self._unparsed = 0
        if len(self.url) + len(url) > MAX_TARGET:
            self._stop_parsing(refusals.target_too_long(MAX_TARGET))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._unparsed = 0
        self._fields += len(name) + len(value) + _FIELD_OVERHEAD
        if self._fields > MAX_FIELDS:
            self._stop_parsing(self._too_large())
        # RFC 9110, section 6.5.1: a trailer must not be taken for a header; we need none.
        if self._state is _State.HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        assert self.parser is not None, "it goes with the connection"
        if self.parser.should_upgrade() and self._announces_body():
            self._stop_parsing(refusals.upgrade_with_body())  # the parser would not see the body
        super().on_headers_complete()
        JoinedWrites.join(self.cycle)
        self._state = _State.BODY

    def _announces_body(self) -> bool:
        return any(
            name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0"))
            for name, value in self.headers
        )

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unparsed = 0
        self._state = _State.REST
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._refusal is None:
            self._watch()
        elif not self._answering() and not self.transport.is_closing():
            self._say(self._refusal)

    def _answering(self) -> bool:
        """Whether an application has a request in hand: answers go out in the requests' order."""
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self) -> None:
        """Run the deadline while it is the client who keeps the connection waiting."""
        if self._refusal is not None or self.transport.is_closing():
            return
        if self._state is _State.REST or self._answering():
            self._stop_watching()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(CLIENT_SECONDS, self._too_slow)

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        if self._state is not _State.HEAD:
            self.transport.close()  # there is no request that could be answered
            return
        self._refuse(refusals.headers_too_slow(CLIENT_SECONDS))

    def _too_large(self) -> ProblemError:
        if self._state is not _State.HEAD:
            return refusals.framing_too_large(MAX_FIELDS)
        if not self.url:
            return refusals.target_too_long(MAX_TARGET)
        return refusals.headers_too_large(MAX_FIELDS, _FIELD_OVERHEAD)

    def _stop_parsing(self, error: ProblemError) -> None:
        self._refusal = error
        raise _RefusedError

    def _refuse(self, error: ProblemError) -> None:
        """Read nothing more, and answer as soon as the requests before are answered."""
        self._refusal = error
        self._stop_watching()
        if self._state is _State.BODY and not self._answering():
            self.transport.close()  # it has its answer; another would be taken for the next one's
            return
        if self._answering():
            if self._state is not _State.BODY:
                return  # on_response_complete() comes back to it
            if self.pipeline or self.cycle.response_started:
                self.transport.close()
                return
            self.cycle.disconnected = True  # the application need not wait for the rest
            self.cycle.message_event.set()
        self._say(error)

    def _say(self, error: ProblemError) -> None:
        """Answer, then read on for a while: who is cut off while sending never sees the answer."""
        correlation_id = new_id()
        log.info(
            "connection_refused",
            status=error.status,
            kind=error.kind,
            correlation_id=correlation_id,
        )
        response = problem.response(error, "", correlation_id)
        response.headers["X-Correlation-ID"] = correlation_id
        lines = [name + b": " + value + b"\r\n" for name, value in response.raw_headers]
        self.transport.write(
            b"".join([STATUS_LINE[error.status], *lines, b"\r\n", bytes(response.body)])
        )
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._deadline = self.loop.call_later(_LINGER_SECONDS, self.transport.close)

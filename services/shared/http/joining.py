"""Sends the head of a response together with the beginning of its body.

uvicorn writes the one, then the other, and with uvloop each write is a call of the system: for
small answers the second one costs as much as all that is done to find out what answers.

What is answered past the framework gets its body, and gives its answer, without ASGI's messages
where they would say no more: both are there at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from uvicorn.protocols.http.httptools_impl import (
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

JOINED = "millrace.joined"
"""Where in a request's scope its JoinedWrites is, if our protocol made it."""


class JoinedWrites:
    """Stands for the transport of one response: keeps the head until something follows it."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._transport = cycle.transport
        self._cycle = cycle
        self._on_response = cycle.on_response
        self._head: bytes | None = None
        self._begun = False

    @classmethod
    def join(cls, cycle: RequestResponseCycle) -> None:
        """Have `cycle`, which has written nothing yet, write through one."""
        joined = cls(cycle)
        cycle.transport = cast("asyncio.Transport", joined)
        cycle.on_response = joined.complete
        cycle.scope[JOINED] = joined  # type: ignore[typeddict-unknown-key]

    def body(self) -> bytes | None:
        """The request's whole body if it has come, once; else it is to be received."""
        cycle = self._cycle
        if cycle.more_body or cycle.disconnected or not cycle.message_event.is_set():
            return None
        body = bytes(cycle.body)
        cycle.body = bytearray()
        cycle.message_event.clear()
        return body

    def answer(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Answer with all of `headers`, as the cycle would; False: it is to be sent.

        Among them is the length; their names are ours.
        """
        cycle = self._cycle
        if (
            cycle.flow.write_paused
            or cycle.response_started
            or cycle.default_headers
            or self.is_closing()
        ):
            return False
        parts = [STATUS_LINE[status]]
        for name, value in headers:
            if HEADER_VALUE_RE.search(value):
                return False  # the cycle refuses it
            parts += (name, b": ", value, b"\r\n")
        if not cycle.keep_alive:
            parts.append(b"connection: close\r\n")
        parts += (b"\r\n", body)
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        self._transport.write(b"".join(parts))
        cycle.message_event.set()
        if not cycle.keep_alive:
            self._transport.close()
        self.complete()
        return True

    def complete(self) -> None:
        """A response may be all head."""
        self._flush()
        # Else they would hold each other, bodies and all, until the collector comes.
        cycle = self._cycle
        cycle.transport, cycle.on_response = self._transport, self._on_response
        cycle.scope.pop(JOINED, None)  # type: ignore[typeddict-item]
        self._on_response()

    def write(self, data: bytes) -> None:
        """Now, unless it is the head."""
        if self._begun:
            self._flush(data)
        elif self._cycle.response_started:
            self._begun = True
            self._head = data
        else:
            self._transport.write(data)  # 100 Continue

    def _flush(self, data: bytes = b"") -> None:
        if self._head is not None:
            data = self._head + data
            self._head = None
        if data and not self._transport.is_closing():  # the client may have left
            self._transport.write(data)

    def close(self) -> None:
        """Not before what was kept."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

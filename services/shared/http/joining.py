"""Sends the head of a response together with the beginning of its body.

uvicorn writes the one, then the other, and with uvloop each write is a call of the system: for
small answers the second one costs as much as all that is done to find out what answers.
"""

from __future__ import annotations

import asyncio
from typing import cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


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

    def complete(self) -> None:
        """A response may be all head."""
        self._flush()
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

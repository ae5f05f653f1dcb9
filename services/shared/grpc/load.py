"""What a server has in hand, and how much of it there may be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from services.shared.grpc.errors import StatusError, exhausted
from services.shared.runtime.late import Late


class Ending(Late):
    """Ends a stream from outside, with a status.

    Not while something is being sent: gRPC's library does not know then whether the head of the
    response is out, and could not say how the stream ended. It ends behind that.
    """

    __slots__ = ("_sending", "why")

    def __init__(self, task: asyncio.Task[Any] | None) -> None:
        super().__init__(task)
        self._sending = False
        self.why: StatusError | None = None

    def end(self, why: StatusError) -> None:
        """Of several calls the first counts."""
        if self.why is None:
            self.why = why
            if not self._sending:
                self()

    async def sent(self, sending: Awaitable[None]) -> None:
        """Send something; raises `why` if the stream was to end meanwhile."""
        self._sending = True
        await sending
        self._sending = False
        if self.why is not None:
            raise self.why


class Streams:
    """Those under way, at most so many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._endings: set[Ending] = set()
        self._over: StatusError | None = None

    def __len__(self) -> int:
        return len(self._endings)

    def take(self, ending: Ending) -> None:
        """Whoever takes one leaves it. Raises StatusError."""
        if self._over is not None:
            raise self._over
        if len(self._endings) >= self._most:
            raise exhausted("streams", self._most)
        self._endings.add(ending)

    def leave(self, ending: Ending) -> None:
        """It has ended, or was never taken."""
        self._endings.discard(ending)

    def end(self, why: StatusError) -> None:
        """All that there are, and those that were on their way already."""
        self._over = why
        for ending in tuple(self._endings):
            ending.end(why)


class Load:
    """Calls and streams of all clients of a process."""

    def __init__(self, *, calls: int, streams: int) -> None:
        self._most_calls = calls
        self.calls = 0
        self.streams = Streams(streams)
        # Who shows no token, as for health and reflection, takes no place from those who do.
        self.open_streams = Streams(max(streams // 10, 10))
        self.pending = 2 * (calls + streams)
        """How many calls there may be in all, with those whose message has not come."""

    def take_call(self) -> None:
        """Whoever takes one gives it back, by lowering `calls`. Raises StatusError."""
        if self.calls >= self._most_calls:
            raise exhausted("calls", self._most_calls)
        self.calls += 1

    def end_streams(self, why: StatusError) -> None:
        """For good."""
        self.streams.end(why)
        self.open_streams.end(why)

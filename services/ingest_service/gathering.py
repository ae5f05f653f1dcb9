"""Requests that arrive while a call to Redis is out share the next one.

With `appendfsync always` a call costs one write to the disk, however much it carries. So the more
requests there are at once, the larger the calls get, and a request that comes alone goes alone, at
once: there is no timer.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from services.ingest_service.metrics import IngestMetrics
from services.shared.runtime import tracing
from services.shared.runtime.logging import get_logger
from services.shared.stream.accept import (
    MOST_PER_CALL,
    Accepted,
    StreamFullError,
    StreamUnavailableError,
)

log = get_logger(__name__)

Call = Callable[[Sequence[Accepted]], Awaitable[list[str]]]

LANES = 2
"""Calls at a time: one is written to disk while the other is on its way."""
MOST_BYTES = 4 * 1024 * 1024
"""Of documents per call; a request that has more goes alone."""


@dataclass(eq=False, slots=True)
class _Request:
    documents: Sequence[Accepted]
    size: int
    answer: asyncio.Future[list[str]]
    sent: bool = False


class Gatherer:
    """`call` takes documents into the stream: all it is given, or none.

    A request's documents are never parted. Each request waits at most `patience` seconds.
    """

    def __init__(
        self,
        call: Call,
        metrics: IngestMetrics,
        *,
        patience: float = 5.0,
        most_documents: int = MOST_PER_CALL,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._call = call
        self._metrics = metrics
        self._patience = patience
        self._most_documents = most_documents
        self._most_bytes = most_bytes
        self._waiting: deque[_Request] = deque()
        self._lanes: set[asyncio.Task[None]] = set()

    async def accept(self, documents: Sequence[Accepted]) -> list[str]:
        """The entries of `documents`, in their order, once they are durable.

        Who is cancelled while waiting takes its documents along, and nobody else's.
        Raises StreamFullError or StreamUnavailableError.
        """
        size = sum([len(given.document) for given in documents])
        loop = asyncio.get_running_loop()
        request = _Request(documents, size, loop.create_future())
        self._waiting.append(request)
        if len(self._lanes) < LANES:
            self._lanes.add(asyncio.create_task(self._drive()))
        # A tenth of what asyncio.timeout() costs.
        timer = loop.call_later(self._patience, self._give_up, request)
        try:
            return await request.answer
        finally:
            timer.cancel()

    def _give_up(self, request: _Request) -> None:
        # What has its answer is not sent any more.
        reason = f"no answer within {self._patience:g} s"
        self._fail([request], StreamUnavailableError(reason, uncertain=request.sent))

    async def close(self) -> None:
        """Wait for the calls that are out."""
        await asyncio.gather(*self._lanes, return_exceptions=True)

    async def _drive(self) -> None:
        # This task is nobody's request: its log lines must not carry the one that started it.
        tracing.unbind()
        while requests := self._next():
            await self._send(requests)
        # Nothing is awaited between finding nobody and this: who comes next starts a new lane.
        lane = asyncio.current_task()
        assert lane is not None
        self._lanes.discard(lane)

    def _next(self) -> list[_Request]:
        """Who goes together: in the order they came, as many as fit."""
        taken: list[_Request] = []
        count = size = 0
        while self._waiting:
            request = self._waiting[0]
            if request.answer.done():  # cancelled, or out of patience
                self._waiting.popleft()
                continue
            count += len(request.documents)
            size += request.size
            if taken and (count > self._most_documents or size > self._most_bytes):
                break
            request.sent = True
            taken.append(self._waiting.popleft())
        return taken

    async def _send(self, requests: list[_Request]) -> None:
        documents = [given for request in requests for given in request.documents]
        started = time.perf_counter()
        try:
            entries = await self._call(documents)
        except (StreamFullError, StreamUnavailableError) as error:
            self._fail(requests, error)
            return
        except Exception as error:  # a mistake of ours; nobody may be left waiting for it
            log.exception("accepting_failed")
            self._fail(requests, StreamUnavailableError(repr(error), uncertain=True))
            return
        finally:
            self._metrics.call_seconds.observe(time.perf_counter() - started)
        self._metrics.call_documents.observe(len(documents))
        self._metrics.call_requests.observe(len(requests))
        self._metrics.documents.inc(len(documents))
        position = 0
        for request in requests:
            following = position + len(request.documents)
            if not request.answer.done():
                request.answer.set_result(entries[position:following])
            position = following

    def _fail(self, requests: list[_Request], error: Exception) -> None:
        for request in requests:
            if not request.answer.done():
                request.answer.set_exception(error)

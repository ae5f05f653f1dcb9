"""Requests that arrive while a call to Redis is out share the next one.

With `appendfsync always` a call costs one write to the disk, however much it carries.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain

from services.ingest_service.metrics import IngestMetrics
from services.shared.runtime.logging import get_logger
from services.shared.runtime.together import Together
from services.shared.stream.accept import (
    MOST_PER_CALL,
    Accepted,
    StreamFullError,
    StreamUnavailableError,
)

log = get_logger(__name__)

Call = Callable[[Sequence[Accepted]], Awaitable[list[str]]]

LANES = 1
"""Calls at a time. With two each carries half as much, for the same price each, and the server
writes one after the other to its disk all the same."""
MOST_BYTES = 4 * 1024 * 1024
"""Of documents per call; a request that has more goes alone."""


class Gatherer:
    """`call` takes documents into the stream: all it is given, or none.

    A request's documents are never parted. Each request waits at most `patience` seconds.
    """

    def __init__(
        self,
        call: Call,
        metrics: IngestMetrics,
        *,
        lanes: int = LANES,
        patience: float = 5.0,
        most_documents: int = MOST_PER_CALL,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._call = call
        self._metrics = metrics
        self._least = most_bytes // most_documents
        self._together: Together[Sequence[Accepted], list[str]] = Together(
            self._send,
            lanes=lanes,
            most=most_bytes,
            patience=patience,
            late=functools.partial(StreamUnavailableError, uncertain=False),
            lost=functools.partial(StreamUnavailableError, uncertain=True),
            weigh=self._weigh,
        )

    def accept(self, documents: Sequence[Accepted]) -> asyncio.Future[list[str]]:
        """The entries of `documents`, in their order, once they are durable.

        Who is cancelled while waiting takes its documents along, and nobody else's.
        Raises StreamFullError or StreamUnavailableError.
        """
        return self._together.ask(documents)

    async def close(self) -> None:
        """Wait for the calls that are out."""
        await self._together.close()

    def _weigh(self, documents: Sequence[Accepted]) -> int:
        # So that what does not weigh too much is not too many either.
        return sum([max(len(given.document), self._least) for given in documents])

    async def _send(self, requests: Sequence[Sequence[Accepted]]) -> list[list[str]]:
        documents = [*chain.from_iterable(requests)]
        started = time.perf_counter()
        try:
            entries = iter(await self._call(documents))
        except (StreamFullError, StreamUnavailableError):
            raise
        except Exception as error:  # a mistake of ours; nobody may be left waiting for it
            log.exception("accepting_failed")
            raise StreamUnavailableError(repr(error), uncertain=True) from error
        finally:
            self._metrics.call_seconds.observe(time.perf_counter() - started)
        self._metrics.call_documents.observe(len(documents))
        self._metrics.call_requests.observe(len(requests))
        self._metrics.documents.inc(len(documents))
        return [[next(entries) for _ in request] for request in requests]

"""Waiting for servers that are away: for ever, and until the process is to stop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.shared.runtime.heartbeat import Heartbeat
from services.shared.runtime.logging import get_logger
from services.shared.runtime.trouble import Trouble
from services.stream_writer.metrics import WriterMetrics

log = get_logger(__name__)

T = TypeVar("T")
_SHORTEST, _LONGEST = 0.1, 5.0


class StoppingError(Exception):
    """The process stops while a server is away; what is in hand is left to others."""


class Patience:
    """What one loop does about failures: it says so now and then, waits, and tries again."""

    def __init__(
        self,
        stop: asyncio.Event,
        heartbeat: Heartbeat,
        metrics: WriterMetrics,
        *,
        longest: float = _LONGEST,
    ) -> None:
        self._stop = stop
        self._heartbeat = heartbeat
        self._metrics = metrics
        self._longest = min(longest, _LONGEST)
        self._trouble = Trouble()
        self._pause = _SHORTEST

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def beat(self) -> None:
        """Say that the loop has come round."""
        self._heartbeat.beat()

    async def rest(self, seconds: float) -> None:
        """Wait, alive; not longer than until the process is to stop."""
        until = time.monotonic() + seconds
        while not self.stopping and (left := until - time.monotonic()) > 0:
            self.beat()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), min(left, 1.0))

    async def after(self, what: str, error: Exception) -> None:
        """Wait after a failure, longer after each. Raises StoppingError at the end."""
        self.beat()
        self._metrics.retries.labels(what).inc()
        if self._trouble.worth_logging(what):
            log.warning(f"{what}_will_be_retried", error=f"{type(error).__name__}: {error}")
        if self.stopping:
            raise StoppingError
        await self.rest(self._pause)
        self._pause = min(self._longest, 2 * self._pause)

    def fine(self) -> None:
        """Note that what was tried went well."""
        self.beat()
        self._pause = _SHORTEST
        if self._trouble.over():
            log.info("trouble_over")

    async def insist(self, what: str, action: Callable[[], Awaitable[T]]) -> T:
        """Repeat `action` until it goes well, once at least. Raises StoppingError."""
        while True:
            try:
                answer = await action()
            except Exception as error:  # any: nothing may be skipped, whatever the reason
                await self.after(what, error)
            else:
                self.fine()
                return answer

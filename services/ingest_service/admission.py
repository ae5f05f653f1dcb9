"""Whether documents are let in: closed above the high water mark, open again below the low one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from services.ingest_service.metrics import CLOSED_FOR, IngestMetrics
from services.ingest_service.settings import IngestSettings
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)

STALE_SECONDS = 3.0
"""What Redis said so long ago says nothing any more: two looks in a row had no answer in time."""


@dataclass(frozen=True, slots=True)
class Level:
    """What was seen at one look."""

    entries: int
    memory: int
    """Bytes."""


class Water:
    """A level with two marks: between them it stays as it was."""

    def __init__(self, low: float, high: float) -> None:
        self._low = low
        self._high = high
        self._over = False

    def over(self, level: float) -> bool:
        """Note the level; whether it has reached the high mark and not fallen below the low one."""
        self._over = level >= (self._low if self._over else self._high)
        return self._over


class Gate:
    """Closed until the first look, and when the last one is too old."""

    def __init__(
        self,
        settings: IngestSettings,
        metrics: IngestMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._queue = Water(settings.low_water, settings.high_water)
        limit = settings.memory_bytes
        self._memory = Water(
            (limit or math.inf) * settings.memory_low_percent / 100,
            (limit or math.inf) * settings.memory_high_percent / 100,
        )
        self._seen_at: float | None = None
        self._full: str | None = None
        for reason in CLOSED_FOR:
            metrics.closed.labels(reason).set_function(lambda reason=reason: self._is(reason))

    def look(self, level: Level) -> None:
        """Note what was seen just now."""
        queue = self._queue.over(level.entries)
        memory = self._memory.over(level.memory)
        full = "queue" if queue else "memory" if memory else None
        if full != self._full:
            event = "admission_closed" if full else "admission_open"
            log.warning(event, reason=full, entries=level.entries, memory=level.memory)
        self._full = full
        self._seen_at = self._clock()

    @property
    def closed_for(self) -> str | None:
        """ "queue", "memory" or "unknown"; None while documents are let in."""
        if not self.fresh:
            return "unknown"
        return self._full

    @property
    def fresh(self) -> bool:
        """Whether Redis answered lately."""
        return self._seen_at is not None and self._clock() - self._seen_at <= STALE_SECONDS

    def _is(self, reason: str) -> float:
        return float(self.closed_for == reason)

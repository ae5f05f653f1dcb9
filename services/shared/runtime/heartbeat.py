"""A sign of life that a work loop gives on every turn."""

from __future__ import annotations

import time
from collections.abc import Callable


class Heartbeat:
    """Beaten by a work loop on every turn, also on turns in which its servers were away.

    A loop that waits for a database keeps beating, so a restart is asked for only when the
    process itself is stuck. Safe to beat from another thread.
    """

    def __init__(self, limit_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit_seconds
        self._clock = clock
        self._last = clock()

    def beat(self) -> None:
        """Say that the loop has come round."""
        self._last = self._clock()

    def age(self) -> float:
        """Seconds since the last beat."""
        return self._clock() - self._last

    def alive(self) -> bool:
        """Whether the last beat is recent enough."""
        return self.age() <= self._limit

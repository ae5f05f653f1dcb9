"""What to log of a failure that repeats several times a second for as long as an outage lasts."""

from __future__ import annotations

import time
from collections.abc import Callable


class Trouble:
    """Says which failures to log: the first of its kind, then one in `every` seconds."""

    def __init__(self, every: float = 30.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._every = every
        self._clock = clock
        self._silent_until: dict[str, float] = {}

    def worth_logging(self, kind: str) -> bool:
        """Note a failure; whether it should be logged."""
        now = self._clock()
        if now < self._silent_until.get(kind, now):
            return False
        self._silent_until[kind] = now + self._every
        return True

    def over(self) -> bool:
        """Note a success; whether it ends a trouble and should be logged."""
        ended = bool(self._silent_until)
        self._silent_until.clear()
        return ended

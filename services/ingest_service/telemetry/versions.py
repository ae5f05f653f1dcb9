"""Which of two points of one key is the newer: a number that only grows, made without asking."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator

BITS = 10
"""Of a version that are the process's own, so that two processes rarely make the same one; where
they do, the point that was stored first stays."""


class Versions:
    """Of one process. Each is above all that it made before, also when the clock is set back.

    Microseconds since 1970, then the process's bits: below 2**63 until the year 2255. Two
    processes agree about what is newer as far as their clocks do.
    """

    def __init__(self, clock: Callable[[], int] = time.time_ns, process: int | None = None) -> None:
        """`clock`: nanoseconds since 1970; `process`: its bits, random unless given."""
        self._clock = clock
        self._process = secrets.randbits(BITS) if process is None else process
        self._last = 0

    def take(self, count: int) -> Iterator[int]:
        """`count` of them, ascending."""
        first = max(self._last + 1, self._clock() // 1000)
        self._last = first + count - 1
        return iter(range(first << BITS | self._process, (self._last + 1) << BITS, 1 << BITS))

"""How long the relay waits between two looks when nobody wakes it: adaptive polling."""

from __future__ import annotations


class Backoff:
    """How long to wait when there was nothing, or little, to do.

    After work the wait is `shortest`; every empty round doubles it up to `longest`.
    """

    def __init__(self, shortest: float, longest: float) -> None:
        self._shortest = shortest
        self._longest = longest
        self._next = shortest

    def after_work(self) -> float:
        self._next = self._shortest
        return self._next

    def after_nothing(self) -> float:
        now, self._next = self._next, min(self._longest, self._next * 2)
        return now

"""Notices a client that gives nothing although its partitions go on, with an error to nobody.

librdkafka has come to that in more ways than one: by partitions that stayed paused beyond a
rebalance, and by a topic that was made anew, whose leader epoch it took for an old one's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

Places = Mapping[tuple[str, int], int]
"""Topic and partition to an offset in it."""


class StalledError(Exception):
    """The client has to be replaced: it stands still, and a new one may not."""


class StallWatch:
    """Compares, every `seconds`, where a member stands with where it stood.

    One at the same unread place twice is stalled. Each place is a reason once: where a new client
    stands still as well, as at what only a reader of uncommitted transactions would be given,
    another would not help.
    """

    def __init__(self, seconds: float = 30.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._due = clock() + seconds
        self._before: Places = {}
        self._told: dict[tuple[str, int], int] = {}

    def look(self, unread: Callable[[], Places]) -> None:
        """Ask for the unread places, when it is time to; raises StalledError."""
        if self._clock() < self._due:
            return
        now = unread()
        self._due = self._clock() + self._seconds
        stalled = {place: at for place, at in now.items() if self._before.get(place) == at}
        news = {place: at for place, at in stalled.items() if self._told.get(place) != at}
        self._before = now
        if news:
            self._told |= news
            self._before = {}
            names = ", ".join(f"{topic}-{number} at {at}" for (topic, number), at in news.items())
            raise StalledError(f"nothing was given for {self._seconds:g} s of {names[:500]}")

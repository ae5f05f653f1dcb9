"""How many wrong secrets were sent of late, by client id and by address."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

_MINUTE: Final = 60.0
_MOST_KEYS: Final = 20_000


class Failures:
    """So many a minute of each key; the ones beyond are counted nowhere, so that an attack ends
    when it ends. Of more keys than are kept the ones forgotten are those not seen for longest."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._full: OrderedDict[str, float] = OrderedDict()
        """Of each key, when all it may fail is free again."""

    def note(self, keys: Iterable[tuple[str, int]]) -> float | None:
        """One failure of all these keys, each with how many a minute it may have.

        None, or seconds until the next is allowed: then it was one too many.
        """
        now = self._now()
        after: dict[str, float] = {}
        wait = 0.0
        for key, most in keys:
            each = _MINUTE / most
            after[key] = max(self._full.get(key, 0.0), now) + each
            wait = max(wait, after[key] - now - _MINUTE)
        if wait > 1e-6:
            return wait
        for key, full in after.items():
            self._full[key] = full
            self._full.move_to_end(key)
        while len(self._full) > _MOST_KEYS:
            self._full.popitem(last=False)
        return None

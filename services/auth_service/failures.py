"""How many wrong secrets were sent of late, by client id and by address."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from services.shared.limits.bucket import Bucket, Terms

_MINUTE: Final = 60.0
_MOST_KEYS: Final = 20_000


class Failures:
    """So many a minute of each key; the ones beyond are counted nowhere, so that an attack ends
    when it ends. Of more keys than are kept the ones forgotten are those not seen for longest."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def note(self, keys: Iterable[tuple[str, int]]) -> float | None:
        """One failure of all these keys, each with how many a minute it may have.

        None, or seconds until the next is allowed: then it was one too many.
        """
        now = self._now()
        found = [
            (key, self._buckets.get(key) or Bucket(), Terms.of(most / _MINUTE, most))
            for key, most in keys
        ]
        wait = max(bucket.wait(now, terms) for _, bucket, terms in found)
        if wait:
            return wait
        for key, bucket, terms in found:
            bucket.take(now, terms)
            self._buckets[key] = bucket
            self._buckets.move_to_end(key)
        while len(self._buckets) > _MOST_KEYS:
            self._buckets.popitem(last=False)
        return None

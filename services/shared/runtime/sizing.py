"""How much goes into one transaction when the database may not finish all of it in time."""

from __future__ import annotations

_STEADY = 4


class FittingSize:
    """Half of what failed, twice what succeeded a few times in a row, from 1 to `most`.

    A failure does not say whether the work was too much or the server away, and need not: too
    much is halved until it fits, and after an absence some small transactions restore the size.
    While the server is away there is never a try more than without it.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.now = most
        self._successes = 0

    def failed(self, tried: int) -> None:
        """Note that `tried` did not get through."""
        self.now = max(1, min(tried, self.now) // 2)
        self._successes = 0

    def succeeded(self) -> None:
        """Note that something of this size got through."""
        self._successes += 1
        if self._successes == _STEADY:
            self._successes = 0
            self.now = min(self._most, self.now * 2)

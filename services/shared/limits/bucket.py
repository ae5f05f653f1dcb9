"""The arithmetic of a token bucket, as one number: the moment at which it will be full again.

With it, a bucket that nobody took from for a while is one that nobody has to know, and two clocks
need not agree: how long it takes until it is full is the same by both.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_ROUNDING: Final = 1e-6
"""Seconds by which sums of costs may be off."""


class Terms(NamedTuple):
    """What a bucket gives, in seconds of its filling."""

    cost: float
    """What one request takes."""
    depth: float
    """What an empty bucket lacks."""

    @classmethod
    def of(cls, per_second: float, burst: int, pods: int = 1) -> Terms:
        """A share of the rate and the burst, for one of so many pods: one request at least."""
        cost = pods / per_second
        return cls(cost, max(burst / per_second, cost))


class Bucket:
    """Of one client, as one process sees it."""

    __slots__ = ("full_at",)

    def __init__(self) -> None:
        self.full_at = 0.0
        """By the process's clock."""

    def wait(self, now: float, terms: Terms) -> float:
        """Seconds until there is what a request costs; 0: there is."""
        lacking = max(self.full_at, now) + terms.cost - now - terms.depth
        return lacking if lacking > _ROUNDING else 0.0

    def take(self, now: float, terms: Terms) -> float:
        """Take what a request costs: 0. If there is not as much, take nothing: as wait()."""
        seconds = self.wait(now, terms)
        if not seconds:
            self.full_at = max(self.full_at, now) + terms.cost
        return seconds


class SharedBucket(Bucket):
    """One from which other pods take as well."""

    __slots__ = ("untold",)

    def __init__(self) -> None:
        super().__init__()
        self.untold = 0
        """Requests of which they do not know yet."""

    def learn(self, now: float, until_full: float, terms: Terms) -> None:
        """Believe what all pods together took, and add what they do not know of."""
        self.full_at = now + until_full + self.untold * terms.cost

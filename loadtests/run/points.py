"""Puts what observers saw beside the samples, for the charts."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from loadtests.observers.services import Look
from loadtests.observers.store import Counters
from loadtests.verdict.results import Point

T = TypeVar("T")


def points(
    bare: Sequence[Point],
    *,
    began: float,
    width: float,
    services: Sequence[Look],
    store: Sequence[tuple[float, Counters]],
    processor: Sequence[tuple[float, dict[str, float]]],
) -> tuple[Point, ...]:
    """The samples' points with what was seen last within each; None where nobody looked."""
    looks = [(look.at, look) for look in services]
    commits = rates([(at, counters.transactions) for at, counters in store])
    flushes = rates([(at, counters.flushes) for at, counters in store])
    filled: list[Point] = []
    for point in bare:
        since, until = began + point.at, began + point.at + width
        look = within(looks, since, until)
        filled.append(
            point.model_copy(
                update={
                    "queue": look.queue if look else None,
                    "lag": look.lag if look else None,
                    "pods": look.ready if look else {},
                    "commits": within(commits, since, until),
                    "flushes": within(flushes, since, until),
                    "cpu": within(processor, since, until) or {},
                }
            )
        )
    return tuple(filled)


def within(seen: Sequence[tuple[float, T]], since: float, until: float) -> T | None:
    """What was seen last before ``until``, unless it is older than ``since``; by time."""
    place = bisect_right(seen, until, key=lambda one: one[0])
    return seen[place - 1][1] if place and seen[place - 1][0] >= since else None


def rates(counted: Sequence[tuple[float, int]]) -> list[tuple[float, float]]:
    """Per second between two looks, at the later one. A counter that fell has begun anew."""
    return [
        (at, (count - before) / (at - earlier))
        for (earlier, before), (at, count) in pairwise(counted)
        if at > earlier and count >= before
    ]

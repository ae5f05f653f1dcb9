"""Who waits when the points of all partitions' open windows are more than there is memory for.

Points cannot be let go, windows cannot be closed before their time, and nothing may grow beyond
the bound. But a partition can be put back to its committed offset, from where it is read again, at
any time. So those furthest ahead are put back and wait; the one furthest behind goes on, closes
windows, and gets behind none. One that waits goes on when it is furthest behind, or when there is
room for what it held. As long as the open windows of one partition have room all come through,
only slower; where they have not, that partition stands still and a log line says what to do.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Place = TypeVar("Place", bound=Hashable)
_ROOM = 0.75
"""Share of the bound to which it is emptied, so that not every batch is a reason again."""


@dataclass(frozen=True, slots=True)
class Holding(Generic[Place]):
    """One partition: bytes held (while it waits: when it was put back), and how far it has come."""

    place: Place
    size: int
    reached: int


@dataclass(frozen=True, slots=True)
class Verdict(Generic[Place]):
    """What changes. full: nobody is left to wait for whom one partition alone is too much."""

    put_back: Sequence[Place] = ()
    go_on: Sequence[Place] = ()
    full: bool = False


def judge(
    running: Sequence[Holding[Place]], waiting: Sequence[Holding[Place]], bound: int
) -> Verdict[Place]:
    """Who is to be put back, or may go on; at most one of the latter."""
    held = sum(it.size for it in running)
    if held > bound:
        ahead = sorted(running, key=lambda it: it.reached)
        put_back: list[Place] = []
        while len(ahead) > 1 and held > _ROOM * bound:
            last = ahead.pop()
            held -= last.size
            put_back.append(last.place)
        return Verdict(put_back, full=held > bound)
    if waiting:
        behind = min(waiting, key=lambda it: it.reached)
        if all(behind.reached < it.reached for it in running) or (
            held + behind.size <= _ROOM * bound
        ):
            return Verdict(go_on=[behind.place])
    return Verdict()

"""Which lanes a relay should lease: a fair share among the live relays, moved as little as can be.

Pure functions; every relay runs them on its own view, and the lease table settles the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lane:
    """A row of relay_lease. free: no owner, or its lease has expired by the database's clock."""

    number: int
    owner: str | None
    free: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Lanes to hand back, and free lanes to ask for, both without the order of anything."""

    release: tuple[int, ...]
    acquire: tuple[int, ...]


def fair_share(me: str, members: Collection[str], lanes: int) -> int:
    """How many of `lanes` belong to `me`; over all members the shares add up to `lanes`."""
    ranked = sorted({*members, me})
    base, extra = divmod(lanes, len(ranked))
    return base + (1 if ranked.index(me) < extra else 0)


def plan(me: str, members: Collection[str], lanes: Sequence[Lane], mine: Collection[int]) -> Plan:
    """What to release and acquire so that `me` ends at its fair share.

    `mine` are the lanes this process holds a token of. The table may name it as owner of more:
    the answer to an acquisition, or a release, got lost. Those count as anybody's once they run
    out, or they would stay with an owner that never works on them.
    Our own lanes are kept. Members look for free lanes from different starting points, so that
    they seldom ask for the same one.
    """
    share = fair_share(me, members, len(lanes))
    ours = sorted(mine)
    if len(ours) >= share:
        return Plan(release=tuple(ours[share:]), acquire=())
    ranked = sorted({*members, me})
    start = len(lanes) * ranked.index(me) // len(ranked)
    free = [lane.number for lane in lanes if lane.free and lane.number not in mine]
    free.sort(key=lambda number: (number - start) % len(lanes))
    return Plan(release=(), acquire=tuple(free[: share - len(ours)]))

"""When a line is drawn that a gap is given up by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from services.shared.inbox.consumed import NoEvidenceError, Place
from services.shared.inbox.gaps import Gaps
from services.shared.inbox.metrics import InboxMetrics
from services.shared.inbox.store import Waiting


class World:
    """One overdue event, all consumed; `whole` says whether the partitions are."""

    def __init__(self) -> None:
        self.whole = True
        self.overdue = 1
        self.released = 0
        self.inbox = InboxMetrics(CollectorRegistry())
        everything = cast(Any, self)
        self._gaps = Gaps(everything, everything, everything, everything)

    async def waiting(self) -> Waiting:
        return Waiting(1, self.overdue, datetime.now(UTC))

    async def release_gaps(self, _horizon: datetime) -> None:
        self.released += 1

    def ends(self) -> dict[Place, int]:
        if not self.whole:
            raise NoEvidenceError("1 of 2 replicas are in sync")
        return {("resource.created", 0): 1}

    def left(self, _ends: Mapping[Place, int]) -> dict[Place, int]:
        return {}

    async def look(self, *, whole: bool) -> int:
        self.whole = whole
        await self._gaps.look()
        return self.released


@pytest.fixture
def world() -> World:
    return World()


async def test_partitions_that_have_just_come_back_do_not_prove_that_an_event_is_lost(
    world: World,
) -> None:
    looks = [False, True, True, False, True, True, True]
    assert [await world.look(whole=whole) for whole in looks] == [0, 0, 0, 0, 0, 0, 1]


async def test_every_gap_has_to_be_proven_anew(world: World) -> None:
    for _ in range(3):
        await world.look(whole=True)
    assert [await world.look(whole=True) for _ in range(3)] == [1, 1, 2]
    for overdue in (1, 1, 0):
        world.overdue = overdue
        await world.look(whole=True)
    world.overdue = 1
    assert await world.look(whole=True) == 2

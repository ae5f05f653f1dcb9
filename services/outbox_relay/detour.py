"""The way around sick partitions: which of the waiting events can go, and how far to read.

Every lane has a place to read on from. All that is unsent before it waits: for its partition, or
behind an earlier event of its key, or because its key is parked or rests. So a claim reads what
is new and not, each time, the thousands that wait. Pure state.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from services.outbox_relay.sick import SickPartitions

# What was passed because its key was parked or at rest may go by now. Reading from the front again
# shows it, but costs as much as there waits: seconds, and the share of time it may take.
_AGAIN_SECONDS = 15.0
_AGAIN_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Waiting:
    """An unsent event, as a look at its lane shows it."""

    id: str
    lane: int
    seq: int
    key: str
    topic: str
    attempts: int
    parked: bool


@dataclass(frozen=True, slots=True)
class Look:
    """The first events of every lane from some place on, ordered by seq, and the snapshot they
    were seen in: the oldest transaction that ran, and the next that had not begun.
    """

    events: Sequence[Waiting] = ()
    oldest: int = 0
    next: int = 0


@dataclass(slots=True)
class _Lane:
    token: int
    passed: int = 0
    keys: set[str] = field(default_factory=set[str])
    """Keys with an event at or before `passed`, or, when there are too many, most of them."""
    full: bool = False


class Detour:
    """Chooses what to send while there are sick partitions.

    `most_keys`: so many waiting keys are remembered per lane. Beyond that, all events of a key
    wait that go to a sick partition in any topic: too many, but never one before its turn.
    """

    def __init__(
        self,
        sick: SickPartitions,
        *,
        most_keys: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sick = sick
        self._most_keys = most_keys
        self._clock = clock
        self._lanes: dict[int, _Lane] = {}
        self._final = self._noted = self._horizon = 0
        self._passed_others = False
        self._again_at = 0.0
        self._freed = 0
        self.moved = False
        """Whether the last look got further, so that another at once is worth its while."""

    def cursors(self, tokens: Mapping[int, int]) -> list[int]:
        """The seq after which to read, for each of the lanes leased under `tokens`."""
        over = self._passed_others and self._clock() >= self._again_at
        if over or self._freed != self._sick.freed:
            # What was passed may go by now, or is needed to try its place: from the front again.
            self._freed = self._sick.freed
            self._lanes = {}
            self._passed_others = False
        for lane, token in tokens.items():
            known = self._lanes.get(lane)
            if known is None or known.token != token:
                # What another owner did meanwhile is not known.
                self._lanes[lane] = _Lane(token)
        return [self._lanes[lane].passed for lane in tokens]

    def choose(
        self, look: Look, resting: Collection[str], *, limit: int, careful_attempts: int
    ) -> list[str]:
        """The ids of at most `limit` events that can go now, in publishing order.

        One alone while any of them has `careful_attempts` unanswered tries.
        """
        started = self._clock()
        self._note(look)
        chosen: list[Waiting] = []
        going: set[str] = set()
        waiting: defaultdict[int, set[str]] = defaultdict(set)
        stopped: set[int] = set()
        for event in look.events:
            lane = self._lanes[event.lane]
            place = self._sick.place_of(event.topic, event.key)
            behind = event.key in waiting[event.lane] or self._waits(lane, event.key)
            other = event.parked or event.key in resting
            if not (place or behind or other):
                stopped.add(event.lane)
                going.add(event.key)
                chosen.append(event)
                continue
            first = not (behind or other or event.key in going)
            if place and first and event.attempts < careful_attempts:
                self._sick.offer(place, event.id)
            if event.lane in stopped or event.seq > self._final:
                waiting[event.lane].add(event.key)
            else:
                self._pass(lane, event, other)
        self._again_at += (self._clock() - started) / _AGAIN_SHARE
        del chosen[limit:]
        if any(event.attempts >= careful_attempts for event in chosen):
            del chosen[1:]
        return [event.id for event in chosen]

    def _note(self, look: Look) -> None:
        """Learn up to which seq everything is visible: only so far may a lane be passed.

        A number is taken before its transaction commits, so a lower one can show up after a higher
        one. When all that ran at an earlier look has ended, what was seen then has no gaps.
        """
        self.moved = False
        if look.events and look.oldest >= self._horizon:
            self._final = max(self._final, self._noted)
            self.moved = self._noted != look.events[-1].seq
            self._horizon, self._noted = look.next, look.events[-1].seq

    def _waits(self, lane: _Lane, key: str) -> bool:
        return key in lane.keys or (lane.full and self._sick.concerns(key))

    def _pass(self, lane: _Lane, event: Waiting, other: bool) -> None:
        lane.passed = event.seq
        self.moved = True
        if other and not self._passed_others:
            self._passed_others = True
            self._again_at = self._clock() + _AGAIN_SECONDS
        if other or len(lane.keys) < self._most_keys:
            lane.keys.add(event.key)
        else:
            lane.full = True

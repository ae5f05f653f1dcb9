"""Order per aggregate across topics: which events take effect now, and which wait.

The events of a resource, say, come over three topics, and Kafka orders messages within one
partition of one topic only. aggregate_version (1, 2, 3, …) is the order in which they were made;
an event takes effect when all lower versions have, and waits in inbox_held until then. Pure
functions; store.py wraps them in a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.shared.inbox.records import HeldRecord, Record


@dataclass(frozen=True, slots=True)
class Progress:
    """The highest version of an aggregate up to which every event has taken effect.

    ended: one of these was its last.
    """

    version: int = 0
    ended: bool = False


@dataclass(slots=True)
class Decision:
    """What to write: apply (in this order), new progress, records to hold, holds to lift.

    stale: ids in `apply` whose version has been passed before: a repeat, which the inbox drops,
    or an event that was given up as missing and came after all, which is stored late.
    gaps: how many runs of missing versions were given up, only when gaps are released.
    """

    apply: list[Record] = field(default_factory=list[Record])
    progress: dict[str, Progress] = field(default_factory=dict[str, Progress])
    hold: list[Record] = field(default_factory=list[Record])
    lift: list[Record] = field(default_factory=list[Record])
    stale: set[str] = field(default_factory=set[str])
    repeats: list[Record] = field(default_factory=list[Record])
    """Records that are held already and came again."""
    gaps: int = 0


def sequence(
    incoming: Sequence[Record],
    progress: Mapping[str, Progress],
    held: Sequence[HeldRecord],
) -> Decision:
    """Decide over `incoming` in the order of arrival.

    `progress` and `held` are those of the incoming aggregates; one without progress starts
    before its version 1. Of `held` what cannot have its turn may be missing, and so may the end
    of a long queue: it is not lost, the next call with it lets it go.
    """
    state = _State(progress, held)
    for aggregate in {item.record.aggregate for item in held}:
        state.drain(aggregate)
    for record in incoming:
        state.take(record)
    return state.finish()


def reached(
    aggregates: Iterable[str], incoming: Iterable[Record], progress: Mapping[str, Progress]
) -> list[int]:
    """The version that each of `aggregates` gets to by `incoming` alone."""
    versions = {(record.aggregate, record.version) for record in incoming}
    found: list[int] = []
    for aggregate in aggregates:
        version = progress.get(aggregate, Progress()).version
        while (aggregate, version + 1) in versions:
            version += 1
        found.append(version)
    return found


def release_gaps(progress: Mapping[str, Progress], held: Sequence[HeldRecord]) -> Decision:
    """Give up the missing versions that overdue records wait for, and let these go in order."""
    state = _State(progress, held)
    overdue: dict[str, int] = {}
    for item in held:
        if item.overdue:
            aggregate = item.record.aggregate
            version = item.record.version or 0
            overdue[aggregate] = max(version, overdue.get(aggregate, 0))
    for aggregate, version in overdue.items():
        state.skip_to(aggregate, version)
    return state.finish()


class _State:
    def __init__(self, progress: Mapping[str, Progress], held: Iterable[HeldRecord]) -> None:
        self._before = progress
        self._now: dict[str, Progress] = dict(progress)
        self._waiting: dict[str, dict[int, dict[str, Record]]] = {}
        self._stored: set[str] = set()
        self._decision = Decision()
        for item in held:
            self._stored.add(item.record.id)
            self._wait(item.record)

    def _wait(self, record: Record) -> None:
        versions = self._waiting.setdefault(record.aggregate, {})
        versions.setdefault(record.version or 0, {})[record.id] = record

    def take(self, record: Record) -> None:
        decision = self._decision
        if record.version is None:
            decision.apply.append(record)
            return
        now = self._now.get(record.aggregate, Progress())
        if record.version <= now.version:
            decision.stale.add(record.id)
            decision.apply.append(record)
        elif record.version == now.version + 1:
            self._apply(record)
            self.drain(record.aggregate)
        elif record.id in self._waiting.get(record.aggregate, {}).get(record.version, {}):
            decision.repeats.append(record)
        else:
            self._wait(record)
            decision.hold.append(record)

    def skip_to(self, aggregate: str, version: int) -> None:
        """Apply everything held up to `version`, whatever is missing between."""
        self.drain(aggregate)
        while waiting := self._waiting.get(aggregate):
            lowest = min(waiting)
            if lowest > version:
                return
            now = self._now.get(aggregate, Progress())
            self._decision.gaps += lowest > now.version + 1
            self._now[aggregate] = Progress(lowest - 1, now.ended)
            self.drain(aggregate)

    def drain(self, aggregate: str) -> None:
        """Apply what is held and has its turn."""
        waiting = self._waiting.get(aggregate)
        while waiting:
            now = self._now.get(aggregate, Progress())
            lowest = min(waiting)
            if lowest > now.version + 1:
                return
            # Two events with one version are a fault of the writer; both are kept.
            for record in waiting.pop(lowest).values():
                self._apply(record)
        self._waiting.pop(aggregate, None)

    def _apply(self, record: Record) -> None:
        aggregate, version = record.aggregate, record.version or 0
        now = self._now.get(aggregate, Progress())
        self._now[aggregate] = Progress(max(now.version, version), now.ended or record.last)
        self._decision.apply.append(record)
        if record.id in self._stored:
            self._decision.lift.append(record)

    def finish(self) -> Decision:
        decision = self._decision
        applied = {record.id for record in decision.apply}
        decision.hold = [record for record in decision.hold if record.id not in applied]
        decision.progress = {
            aggregate: now
            for aggregate, now in self._now.items()
            if now != self._before.get(aggregate, Progress())
        }
        return decision

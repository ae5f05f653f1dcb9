"""Order per aggregate, whatever the order of arrival."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from services.shared.inbox.records import HeldRecord, Record
from services.shared.inbox.sequencing import Decision, Progress, release_gaps, sequence


def record(
    aggregate: str, version: int | None, event_id: str = "", *, last: bool = False
) -> Record:
    return Record(
        id=event_id or f"{aggregate}-{version}",
        event_type="resource.updated",
        aggregate=aggregate,
        version=version,
        payload="{}",
        last=last,
    )


class Tables:
    """What the store keeps, in memory: applies decisions as the store would."""

    def __init__(self) -> None:
        self.progress: dict[str, Progress] = {}
        self.held: dict[str, HeldRecord] = {}
        self.rows: list[Record] = []
        self.ids: set[str] = set()

    def take(self, incoming: Sequence[Record]) -> Decision:
        aggregates = {r.aggregate for r in incoming}
        held = [h for h in self.held.values() if h.record.aggregate in aggregates]
        return self.write(sequence(incoming, self.progress, held))

    def release(self, overdue: set[str]) -> Decision:
        held = [HeldRecord(h.record, h.held_at, h.record.id in overdue) for h in self.held.values()]
        return self.write(release_gaps(self.progress, held))

    def write(self, decision: Decision) -> Decision:
        for applied in decision.apply:
            if applied.id not in self.ids:
                self.ids.add(applied.id)
                self.rows.append(applied)
        self.progress |= decision.progress
        for lifted in decision.lift:
            del self.held[lifted.id]
        for holding in decision.hold:
            assert holding.id not in self.held
            self.held[holding.id] = HeldRecord(holding, datetime.now(UTC))
        return decision

    def versions(self, aggregate: str) -> list[int | None]:
        return [row.version for row in self.rows if row.aggregate == aggregate]


def test_events_in_order_take_effect_at_once() -> None:
    tables = Tables()
    decision = tables.take([record("a", 1), record("a", 2), record("b", 1)])
    assert [r.id for r in decision.apply] == ["a-1", "a-2", "b-1"]
    assert tables.progress == {"a": Progress(2), "b": Progress(1)}
    assert not (decision.hold)
    assert not (decision.lift)
    assert not (decision.stale)


def test_an_early_event_waits_for_those_before_it_across_batches() -> None:
    tables = Tables()
    tables.take([record("a", 3)])
    tables.take([record("a", 2)])
    assert tables.versions("a") == []
    decision = tables.take([record("a", 1)])
    assert tables.versions("a") == [1, 2, 3]
    assert [r.id for r in decision.lift] == ["a-2", "a-3"]
    assert tables.held == {}


def test_an_early_event_of_the_same_batch_is_not_held_at_all() -> None:
    decision = Tables().take([record("a", 2), record("a", 1)])
    assert [r.id for r in decision.apply] == ["a-1", "a-2"]
    assert decision.hold == []
    assert decision.lift == []


def test_aggregates_do_not_wait_for_each_other() -> None:
    tables = Tables()
    tables.take([record("a", 2), record("b", 1)])
    assert tables.versions("b") == [1]


def test_events_without_a_version_need_no_gate() -> None:
    tables = Tables()
    decision = tables.take([record("a", None, "task-1"), record("a", 5)])
    assert [r.id for r in decision.apply] == ["task-1"]


def test_a_repeat_is_left_to_the_inbox_and_a_repeated_hold_is_told_apart() -> None:
    tables = Tables()
    tables.take([record("a", 1), record("a", 3)])
    decision = tables.take([record("a", 1), record("a", 3)])
    assert decision.stale == {"a-1"}
    assert [r.id for r in decision.repeats] == ["a-3"]
    assert decision.hold == []
    assert decision.progress == {}


def test_the_same_early_event_twice_in_a_batch_is_held_once() -> None:
    decision = Tables().take([record("a", 2), record("a", 2)])
    assert [r.id for r in decision.hold] == ["a-2"]
    assert [r.id for r in decision.repeats] == ["a-2"]


def test_two_events_with_one_version_are_both_kept() -> None:
    tables = Tables()
    tables.take([record("a", 2, "x"), record("a", 2, "y")])
    tables.take([record("a", 1)])
    assert sorted(tables.ids) == ["a-1", "x", "y"]
    assert tables.held == {}


def test_that_an_aggregate_has_ended_is_remembered_whatever_comes_after() -> None:
    tables = Tables()
    tables.take([record("a", 2, last=True), record("a", 1)])
    assert tables.progress == {"a": Progress(2, ended=True)}
    tables.take([record("a", 3)])
    assert tables.progress == {"a": Progress(3, ended=True)}


def test_a_gap_is_given_up_only_up_to_what_is_overdue() -> None:
    tables = Tables()
    tables.take([record("a", 1), record("a", 3), record("a", 4), record("a", 6), record("b", 9)])
    decision = tables.release({"a-3"})
    assert tables.versions("a") == [1, 3, 4]
    assert decision.gaps == 1
    assert set(tables.held) == {"a-6", "b-9"}
    decision = tables.release({"a-6", "b-9"})
    assert tables.versions("a") == [1, 3, 4, 6]
    assert tables.versions("b") == [9]
    assert decision.gaps == 2


def test_an_event_that_was_given_up_is_stored_late_when_it_comes() -> None:
    tables = Tables()
    tables.take([record("a", 2)])
    tables.release({"a-2"})
    decision = tables.take([record("a", 1), record("a", 3)])
    assert decision.stale == {"a-1"}
    assert tables.versions("a") == [2, 1, 3]


@pytest.mark.parametrize("seed", range(150))
def test_any_order_batching_and_repetition_end_in_the_order_of_writing(seed: int) -> None:
    choice = random.Random(seed)
    events = [
        record(f"r{n}", version) for n in range(5) for version in range(1, choice.randrange(2, 12))
    ]
    arrivals = events + choice.sample(events, len(events) // 2)
    choice.shuffle(arrivals)
    tables = Tables()
    while arrivals:
        size = choice.randrange(1, 9)
        tables.take(arrivals[:size])
        arrivals = arrivals[size:]
        for aggregate, progress in tables.progress.items():
            assert tables.versions(aggregate) == list(range(1, progress.version + 1))
    assert tables.held == {}
    assert tables.ids == {event.id for event in events}

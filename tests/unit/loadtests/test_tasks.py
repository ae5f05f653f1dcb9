"""The ledger of tasks tells a sound platform from one that loses, repeats or reorders them."""

import dataclasses
from itertools import count

import pytest

from loadtests import tasks
from loadtests.ledger import Ledger, Processed
from loadtests.tasks import LIFE, Found, Task, TaskRow
from services.contracts.topics import TASK_COMPLETED, TASK_FAILED, TASK_PROCESS
from tests.unit.loadtests.test_ledger import life_cycle, rows_for


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger()
    life_cycle(ledger, "a")
    life_cycle(ledger, "b")
    return ledger


@pytest.fixture
def events(ledger: Ledger) -> list[Processed]:
    return rows_for(ledger.writes)


def found_for(events: list[Processed]) -> Found:
    """What a faultless platform makes of these events."""
    seqs = count(1000)
    versions: dict[str, count[int]] = {}
    made = [
        Task(
            id=f"task-of-{event.event_id}",
            resource_id=event.resource_id,
            number=event.version,
            action=event.event_type.partition(".")[2],
            status="completed",
            event_id=event.event_id,
        )
        for event in events
    ]
    rows = [
        TaskRow(
            seq=next(seqs),
            event_type=kind,
            resource_id=task.resource_id,
            task_id=task.id,
            action=task.action,
            version=next(versions.setdefault(task.resource_id, count(1))),
            processed_at=event.processed_at + 0.5,
        )
        for task, event in zip(made, events, strict=True)
        for kind in LIFE
    ]
    return Found(made, rows)


def checked(ledger: Ledger, events: list[Processed], **changed: object) -> dict[str, list[str]]:
    found = dataclasses.replace(found_for(events), **changed)
    return tasks.check(ledger, events, found).faults


def test_a_faultless_run_has_no_faults_and_a_latency_for_each_create(
    ledger: Ledger, events: list[Processed]
) -> None:
    verdict = tasks.check(ledger, events, found_for(events))
    assert verdict.faults == {}
    assert (verdict.acked, verdict.arrived) == (8, 8)
    assert verdict.latencies == pytest.approx([0.75, 0.75])


def test_all_tasks_may_be_made_before_the_first_ends(
    ledger: Ledger, events: list[Processed]
) -> None:
    rows = found_for(events).rows
    waiting = [row for row in rows if row.event_type == TASK_PROCESS]
    ended = [row for row in rows if row.event_type == TASK_COMPLETED]
    numbers, seqs = {"a": count(1), "b": count(1)}, count(1)
    renumbered = [
        dataclasses.replace(row, seq=next(seqs), version=next(numbers[row.resource_id]))
        for row in [*waiting, *ended]
    ]
    assert checked(ledger, events, rows=renumbered[::-1]) == {}


@pytest.mark.parametrize("gone", range(8))
def test_an_event_without_a_task_is_lost(
    ledger: Ledger, events: list[Processed], gone: int
) -> None:
    made = [task for at, task in enumerate(found_for(events).tasks) if at != gone]
    assert "lost" in checked(ledger, events, tasks=made)


@pytest.mark.parametrize("gone", range(16))
def test_any_missing_row_of_a_task_is_lost(
    ledger: Ledger, events: list[Processed], gone: int
) -> None:
    rows = [row for at, row in enumerate(found_for(events).rows) if at != gone]
    assert len(checked(ledger, events, rows=rows)["lost"]) == 1


def test_a_second_task_of_an_event_is_one_too_many(ledger: Ledger, events: list[Processed]) -> None:
    made = found_for(events).tasks
    again = dataclasses.replace(made[0], id="another", number=5)
    assert "processed twice" in checked(ledger, events, tasks=[*made, again])


def test_a_second_row_of_an_event_of_a_task_is_one_too_many(
    ledger: Ledger, events: list[Processed]
) -> None:
    rows = found_for(events).rows
    again = dataclasses.replace(rows[7], seq=2000, version=9)
    assert set(checked(ledger, events, rows=[*rows, again])) == {"processed twice"}


@pytest.mark.parametrize("status", ["pending", "running", "failed"])
def test_a_task_that_is_not_completed_is_lost(
    ledger: Ledger, events: list[Processed], status: str
) -> None:
    made = [*found_for(events).tasks]
    made[3] = dataclasses.replace(made[3], status=status)
    assert checked(ledger, events, tasks=made) == {
        "lost": [f"the task of resource.deleted version 4 of a is {status}"]
    }


def test_two_tasks_that_changed_places_are_out_of_order(
    ledger: Ledger, events: list[Processed]
) -> None:
    made = [*found_for(events).tasks]
    made[1], made[2] = (
        dataclasses.replace(made[1], number=made[2].number),
        dataclasses.replace(made[2], number=made[1].number),
    )
    assert "out of order" in checked(ledger, events, tasks=made)


@pytest.mark.parametrize(("one", "other"), [(0, 1), (0, 2), (1, 3), (2, 5)])
def test_two_rows_that_changed_places_are_out_of_order_also_if_they_were_renumbered(
    ledger: Ledger, events: list[Processed], one: int, other: int
) -> None:
    """Of one resource; each before or after an own, or another task's."""
    rows = [*found_for(events).rows]
    seqs = rows[one].seq, rows[other].seq
    rows[one] = dataclasses.replace(rows[one], seq=seqs[1])
    rows[other] = dataclasses.replace(rows[other], seq=seqs[0])
    assert set(checked(ledger, events, rows=rows)) == {"out of order"}
    rows[one], rows[other] = (
        dataclasses.replace(rows[one], version=rows[other].version),
        dataclasses.replace(rows[other], version=rows[one].version),
    )
    assert set(checked(ledger, events, rows=rows)) == {"out of order"}


@pytest.mark.parametrize("changed", [{"resource_id": "b"}, {"action": "digest"}])
def test_a_task_of_something_else_than_its_event_is_nobodys(
    ledger: Ledger, events: list[Processed], changed: dict[str, str]
) -> None:
    made, rows = [*found_for(events).tasks], [*found_for(events).rows]
    of_task = dataclasses.replace(made[0], **changed)
    assert "never written" in checked(ledger, events, tasks=[of_task, *made[1:]])
    of_row = dataclasses.replace(rows[0], **changed)
    assert "never written" in checked(ledger, events, rows=[of_row, *rows[1:]])


def test_a_task_of_no_event_and_rows_of_no_task_are_nobodys(
    ledger: Ledger, events: list[Processed]
) -> None:
    found = found_for(events)
    stranger = dataclasses.replace(found.tasks[0], id="x", number=5, event_id=None)
    assert "never written" in checked(ledger, events, tasks=[*found.tasks, stranger])
    failed = dataclasses.replace(found.rows[0], seq=1, event_type=TASK_FAILED, task_id="x")
    assert "never written" in checked(ledger, events, rows=[*found.rows, failed])

"""What the worker makes of messages, good, early, repeated and bad."""

from __future__ import annotations

import json
import random

from confluent_kafka import Message

from services.contracts.ids import new_id
from services.contracts.topics import (
    RESOURCE_CREATED,
    RESOURCE_DELETED,
    RESOURCE_UPDATED,
    TASK_COMPLETED,
    TASK_FAILED,
    TASK_PROCESS,
)
from tests.integration.event_worker.conftest import UNHURRIED, StartWorker
from tests.integration.event_worker.messages import Rows, Sender
from tests.integration.kafka_container import Reader
from tests.integration.processes import ServiceProcess
from tests.integration.servers import eventually


async def test_every_kind_of_event_becomes_a_row_with_the_columns_of_the_seed(
    start_worker: StartWorker, sender: Sender, rows: Rows
) -> None:
    resource = {"id": "r-1", "name": "n", "description": "d", "status": "active"}
    task = {"task_id": "t-1", "resource_id": "r-1", "action": "validate", "status": "pending"}
    ids = [
        sender.send(RESOURCE_CREATED, "r-1", resource, version=1),
        sender.send(RESOURCE_UPDATED, "r-1", resource, version=2),
        sender.send(RESOURCE_DELETED, "r-1", {"id": "r-1", "status": "deleted"}, version=3),
        sender.send(TASK_PROCESS, "r-1", task),
        sender.send(TASK_COMPLETED, "r-1", {**task, "status": "completed", "result": "ok"}),
        sender.send(TASK_FAILED, "r-1", {**task, "status": "failed", "error": "why"}, version=1),
    ]
    sender.flush()
    start_worker()
    await eventually(rows.reach(6))
    by_id = {row["id"]: row for row in await rows.all()}
    found = [
        tuple(
            by_id[i][name]
            for name in ("event_type", "resource_id", "task_id", "action", "aggregate_version")
        )
        for i in ids
    ]
    assert found == [
        (RESOURCE_CREATED, "r-1", None, "created", 1),
        (RESOURCE_UPDATED, "r-1", None, "updated", 2),
        (RESOURCE_DELETED, "r-1", None, "deleted", 3),
        (TASK_PROCESS, "r-1", "t-1", "validate", None),
        (TASK_COMPLETED, "r-1", "t-1", "validate", None),
        (TASK_FAILED, "r-1", "t-1", "validate", 1),
    ]
    assert json.loads(by_id[ids[0]]["payload"]) == resource
    assert by_id[ids[0]]["correlation_id"] == "correlation-r-1"


async def test_events_that_overtook_each_other_between_topics_take_effect_in_order(
    start_worker: StartWorker, sender: Sender, rows: Rows
) -> None:
    worker = start_worker()
    sender.resource("late", "d", 4)
    sender.resource("late", "u", 2)
    sender.resource("late", "u", 3)
    sender.resource("other", "c", 1)
    sender.flush()
    await eventually(rows.reach(3, "inbox_held"))
    await eventually(rows.reach(1))
    await eventually(lambda: worker.metric_is("inbox_held_events", 3))
    sender.resource("late", "c", 1)
    sender.flush()
    await eventually(rows.reach(5))
    assert await rows.versions() == {"other": [1], "late": [1, 2, 3, 4]}
    assert await rows.count("inbox_held") == 0
    progress = await rows.connection.fetchrow(
        "SELECT version, ended FROM inbox_progress WHERE aggregate = 'late'"
    )
    assert tuple(progress or ()) == (4, True)


async def test_numbered_events_of_tasks_take_effect_in_order_too_and_others_at_once(
    start_worker: StartWorker, sender: Sender, rows: Rows
) -> None:
    start_worker()
    task = {"task_id": "t-1", "resource_id": "r-1", "action": "validate", "status": "pending"}
    ended = sender.send(TASK_COMPLETED, "r-1", task, version=2)
    unnumbered = sender.send(TASK_PROCESS, "r-1", task)
    sender.resource("r-1", "c", 1)
    sender.flush()
    await eventually(rows.reach(2))
    await eventually(rows.reach(1, "inbox_held"))
    begun = sender.send(TASK_PROCESS, "r-1", task, version=1)
    sender.flush()
    await eventually(rows.reach(4))
    order = [row["id"] for row in await rows.all()]
    assert order[2:] == [begun, ended]
    assert unnumbered in order[:2]


async def test_any_order_of_arrival_gives_the_order_of_writing(
    start_worker: StartWorker, sender: Sender, rows: Rows
) -> None:
    choice = random.Random(3)
    events = [
        (f"shuffled-{resource}", "c" if version == 1 else "d" if version == 8 else "u", version)
        for resource in range(30)
        for version in range(1, 9)
    ]
    choice.shuffle(events)
    start_worker(WORKER_BATCH_SIZE=7)
    for event in events:
        sender.resource(*event)
    sender.flush()
    await eventually(rows.reach(240))
    assert set(map(tuple, (await rows.versions()).values())) == {tuple(range(1, 9))}
    assert await rows.count("inbox_held") == 0


async def test_a_repeated_message_is_stored_once_and_counted(
    start_worker: StartWorker, sender: Sender, rows: Rows
) -> None:
    worker = start_worker(**UNHURRIED)
    event_id = new_id()
    for _ in range(3):
        sender.send(RESOURCE_CREATED, "again", version=1, event_id=event_id)
    sender.resource("again", "u", 2)
    sender.flush()
    await eventually(rows.reach(2))
    sender.send(RESOURCE_CREATED, "again", version=1, event_id=event_id)
    sender.flush()
    await eventually(lambda: outcome_is(worker, "duplicate", 3))
    assert await rows.versions() == {"again": [1, 2]}


async def test_a_missing_event_is_given_up_after_the_deadline_and_stored_late_if_it_comes(
    start_worker: StartWorker, sender: Sender, rows: Rows
) -> None:
    worker = start_worker(WORKER_GAP_DEADLINE_SECONDS=1, **UNHURRIED)
    sender.resource("gap", "c", 1)
    sender.resource("gap", "u", 3)
    sender.resource("gap", "u", 5)
    sender.flush()
    await eventually(rows.reach(3))
    assert await rows.versions() == {"gap": [1, 3, 5]}
    await eventually(lambda: worker.metric_is("inbox_gaps_released_total", 2))
    sender.resource("gap", "u", 2)
    sender.resource("gap", "u", 6)
    sender.flush()
    await eventually(rows.reach(5))
    await eventually(lambda: outcome_is(worker, "late", 1))


async def test_bad_messages_go_to_the_dead_letter_topic_with_the_reason_and_stop_nothing(
    start_worker: StartWorker,
    sender: Sender,
    rows: Rows,
    dead_letters: Reader,
) -> None:
    created = RESOURCE_CREATED
    good = {"event_id": new_id(), "event_type": created}
    bad = {
        "header event_id: missing": {"headers": {}},
        "header event_id: not a UUIDv7": {"event_id": "nonsense"},
        "header event_type: does not name": {"headers": {**good, "event_type": "x"}},
        "header aggregate_version: not a whole number": {"version": "seven"},
        "header aggregate_version: must be": {"version": "0"},
        "header correlation_id: not UTF-8": {"headers": {**good, "correlation_id": b"\xff"}},
        "value: not JSON": {"value": b"{"},
        "value: not UTF-8": {"value": b"\xff\xfe"},
        "value: not a JSON object": {"payload": [1]},
        "value.id: must be text": {"payload": {"id": 7}},
        "value.id: differs": {"payload": {"id": "someone-else"}},
        "value: nested too deeply": {"value": b'{"id":"k","a":' + b"[" * 100_000},
        "value: not JSON (NaN": {"value": b'{"id": "k", "n": NaN}'},
        # Text that Python takes and PostgreSQL does not.
        "refused by the database: UntranslatableCharacterError": {
            "payload": {"id": "k", "name": "\0"}
        },
        "refused by the database: ": {
            "value": b'{"id": "k", "name": "\\ud800"}',
            "version": 1,
        },
    }
    for options in bad.values():
        sender.send(created, "k", **options)  # pyright: ignore[reportArgumentType]
    sender.send(created, None, {"id": "no key"})
    sender.resource("fine", "c", 1)
    sender.flush()
    worker = start_worker(**UNHURRIED)
    await eventually(rows.reach(1))
    letters = await dead_letters.wait(len(bad) + 1)
    reasons = [headers_of(letter)["dead_letter_reason"] for letter in letters]
    for expected in [*bad, "key: missing"]:
        assert any(reason.startswith(expected) for reason in reasons), (expected, reasons)
    for letter in letters:
        headers = headers_of(letter)
        assert headers["dead_letter_topic"] == created
        assert headers["dead_letter_offset"].isdecimal()
    await eventually(lambda: outcome_is(worker, "dead_letter", len(bad) + 1))
    handled = "kafka_consumer_messages_consumed_total"
    await eventually(lambda: worker.metric_is(handled, len(bad) + 2))
    assert await worker.metric("kafka_consumer_dead_letters_total") == len(bad) + 1
    assert worker.terminate() == 0
    again = start_worker(**UNHURRIED)
    sender.resource("fine", "u", 2)
    sender.flush()
    await eventually(rows.reach(2))
    assert await outcome_is(again, "dead_letter", 0), "their offsets were committed"


async def test_a_message_that_is_too_large_even_without_its_value_is_dead_lettered_without_its_own(
    start_worker: StartWorker, sender: Sender, rows: Rows, dead_letters: Reader
) -> None:
    sender.send(RESOURCE_CREATED, "k", headers={"padding": b"x" * 999_870})
    sender.resource("fine", "c", 1)
    sender.flush()
    start_worker()
    await eventually(rows.reach(1))
    (letter,) = await dead_letters.wait(1)
    headers = headers_of(letter)
    assert headers["dead_letter_reason"] == "header event_id: missing"
    assert headers["dead_letter_truncated"] == "true"
    assert "padding" not in headers


def headers_of(message: Message) -> dict[str, str]:
    return {
        name: value.decode(errors="replace")
        for name, value in message.headers() or ()
        if isinstance(value, bytes)
    }


async def outcome_is(worker: ServiceProcess, outcome: str, value: float) -> bool:
    response = await worker.get("/metrics")
    found = sum(
        float(line.rsplit(" ", 1)[1])
        for line in (response.text if response else "").splitlines()
        if line.startswith("worker_messages_processed_total{") and f'outcome="{outcome}"' in line
    )
    return found == value

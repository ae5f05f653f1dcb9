"""Tasks of callers and of events: their numbers, their events, and what makes none."""

from __future__ import annotations

import asyncio
import json
import random
import uuid

import pytest

from services.contracts.ids import new_id
from services.contracts.payloads import PAYLOADS
from services.contracts.topics import TASK_PROCESS
from services.grpc_service.model import RequestConflictError, ResourceGoneError, Status
from tests.integration.grpc_service.conftest import ORIGIN, Tasks, asked, event


async def test_a_task_comes_with_its_event_which_is_that_of_the_contract(tasks: Tasks) -> None:
    made, created = await tasks.store.create(asked("r-1", given='{"b": 1, "a": 2}'), ORIGIN)
    assert created
    assert (made.resource_id, made.action, made.status) == ("r-1", "digest", Status.PENDING)
    assert (made.number, made.attempts, made.result, made.error) == (1, 0, None, None)
    (sent,) = await tasks.events()
    assert (sent["event_type"], sent["aggregate_id"], sent["aggregate_version"]) == (
        TASK_PROCESS,
        "r-1",
        1,
    )
    assert (sent["correlation_id"], sent["traceparent"]) == (
        ORIGIN.correlation_id,
        ORIGIN.traceparent,
    )
    payload = PAYLOADS[TASK_PROCESS].model_validate_json(sent["body"])
    assert payload.model_dump() == {
        "task_id": made.id,
        "resource_id": "r-1",
        "action": "digest",
        "status": "pending",
    }
    assert await tasks.value("SELECT input FROM tasks") == '{"a":2,"b":1}'
    assert await tasks.store.get(made.id) == made


async def test_a_request_that_comes_again_gets_the_same_task_whatever_became_of_its_resource(
    tasks: Tasks,
) -> None:
    request = str(uuid.uuid4())
    made, created = await tasks.store.create(asked("r-1", request), ORIGIN)
    await tasks.inbox.process([event("r-1", "d", 1)])
    again, created_again = await tasks.store.create(asked("r-1", request.upper()), ORIGIN)
    assert (created, created_again) == (True, False)
    assert again == made
    assert len(await tasks.events()) == 2


@pytest.mark.parametrize("other", [asked("r-2"), asked("r-1", given='{"a": 1}')], ids=str)
async def test_a_request_id_with_other_content_is_refused_and_takes_no_number(
    tasks: Tasks, other: object
) -> None:
    request = str(uuid.uuid4())
    await tasks.store.create(asked("r-1", request), ORIGIN)
    changed = asked(other.resource_id, request, other.input)  # type: ignore[attr-defined]
    with pytest.raises(RequestConflictError):
        await tasks.store.create(changed, ORIGIN)
    await tasks.make("r-1", "r-2")
    assert await tasks.numbered()


async def test_requests_with_one_id_at_the_same_time_make_one_task(tasks: Tasks) -> None:
    requests = [str(uuid.uuid4()) for _ in range(10)]
    answers = await asyncio.gather(
        *(tasks.store.create(asked("r-1", one), ORIGIN) for one in requests * 6)
    )
    assert sum(created for _, created in answers) == 10
    assert len({task.id for task, _ in answers}) == 10
    assert await tasks.numbered()
    assert await tasks.value("SELECT queued FROM task_resources") == 10


async def test_a_resource_that_has_ended_is_given_no_task(tasks: Tasks) -> None:
    await tasks.inbox.process([event("r-1", "c", 1), event("r-1", "d", 2)])
    with pytest.raises(ResourceGoneError):
        await tasks.store.create(asked("r-1"), ORIGIN)
    await tasks.make("r-2")
    assert [row["action"] for row in await tasks.rows("SELECT action FROM tasks ORDER BY id")] == [
        "created",
        "deleted",
        "digest",
    ]


async def test_every_event_has_one_task_in_its_order_however_often_it_comes(tasks: Tasks) -> None:
    events = [event(f"r-{n}", "c", 1) for n in range(3)]
    events += [event("r-0", "u", 2), event("r-1", "u", 2), event("r-0", "d", 3)]
    # Those without a number have no place in the inbox's order, and come when they come.
    events.append(event("r-2", "u", None))
    first = await tasks.inbox.process([*events, *events[:3]])
    assert (len(first.processed + first.late), len(first.duplicate)) == (7, 3)
    again = await tasks.inbox.process(events)
    assert (len(again.processed), len(again.duplicate)) == (0, 7)
    found = await tasks.rows(
        "SELECT resource_id, number, action, event_id::text, correlation_id, traceparent, input"
        " FROM tasks ORDER BY resource_id, number"
    )
    assert [tuple(row)[:3] for row in found] == [
        ("r-0", 1, "created"),
        ("r-0", 2, "updated"),
        ("r-0", 3, "deleted"),
        ("r-1", 1, "created"),
        ("r-1", 2, "updated"),
        ("r-2", 1, "created"),
        ("r-2", 2, "updated"),
    ]
    assert {row["event_id"] for row in found} == {one.id for one in events}
    assert {row["correlation_id"] for row in found} == {"of the event"}
    assert {row["traceparent"] for row in found} == {ORIGIN.traceparent}
    assert json.loads(found[0]["input"]) == {"id": "r-0", "name": "n", "description": None}
    assert await tasks.numbered()


async def test_an_event_that_was_held_has_its_task_when_its_turn_comes(tasks: Tasks) -> None:
    await tasks.inbox.process([event("r-1", "d", 3), event("r-1", "u", 2)])
    assert await tasks.value("SELECT count(*) FROM tasks") == 0
    await tasks.inbox.process([event("r-1", "c", 1)])
    found = await tasks.rows("SELECT action FROM tasks ORDER BY number")
    assert [row["action"] for row in found] == ["created", "updated", "deleted"]


async def test_callers_and_events_at_the_same_time_leave_no_gap_in_the_numbers(
    tasks: Tasks,
) -> None:
    resources = [f"r-{n}" for n in range(5)]
    versions = dict.fromkeys(resources, 0)
    made = random.Random(7)

    async def callers() -> None:
        for _ in range(30):
            await tasks.make(made.choice(resources))

    async def consumer() -> None:
        for _ in range(15):
            batch = made.sample(resources, 3)
            for one in batch:
                versions[one] += 1
            await tasks.inbox.process([event(one, "u", versions[one]) for one in batch])

    async def runner() -> None:
        for _ in range(30):
            for one in await tasks.claim(3, owner=new_id()):
                await tasks.store.complete(one, "{}", "t")

    await asyncio.gather(callers(), callers(), callers(), consumer(), runner(), runner())
    assert await tasks.value("SELECT count(*) FROM tasks") == 90 + 45
    assert await tasks.numbered()
    wrong = await tasks.rows(
        "SELECT 1 FROM task_resources q WHERE queued <>"
        " (SELECT count(*) FROM tasks t WHERE t.resource_id = q.resource_id) OR done <>"
        " (SELECT count(*) FROM tasks t WHERE t.resource_id = q.resource_id AND status ="
        "  'completed') OR queued <>"
        " (SELECT max(number) FROM tasks t WHERE t.resource_id = q.resource_id)"
    )
    assert wrong == []

"""Who has a task, for how long, and what becomes of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from services.contracts.payloads import PAYLOADS
from services.contracts.topics import TASK_COMPLETED, TASK_FAILED, TASK_PROCESS
from services.grpc_service.model import Claimed, Status, TaskNotFoundError
from services.shared.outbox.wakeup import CHANNEL
from tests.integration.grpc_service.conftest import LEASE, Tasks, event


async def only(tasks: Tasks, owner: str = "me") -> Claimed:
    (found,) = await tasks.claim(owner=owner)
    return found


async def test_of_each_resource_the_first_task_is_claimed_and_its_next_one_when_it_has_ended(
    tasks: Tasks,
) -> None:
    await tasks.make("r-1", "r-1", "r-2", "r-1")
    first, second = await tasks.claim()
    assert [(one.task.resource_id, one.task.number) for one in (first, second)] == [
        ("r-1", 1),
        ("r-2", 1),
    ]
    assert (first.task.status, first.task.attempts, first.input) == (Status.RUNNING, 1, "{}")
    assert await tasks.claim() == []
    assert await tasks.store.complete(first, "{}", "t") is not None
    assert (await only(tasks)).task.number == 2


async def test_claims_at_the_same_time_never_get_two_of_a_resource_and_none_twice(
    tasks: Tasks,
) -> None:
    await tasks.make(*(f"r-{n % 20}" for n in range(60)))
    claims = await asyncio.gather(*(tasks.claim(5, owner=f"o-{n}") for n in range(8)))
    had = [one.task for claim in claims for one in claim]
    rest = await tasks.claim(100)  # those that were locked when they were looked for
    had += [one.task for one in rest]
    assert len(had) == len({one.resource_id for one in had}) == 20
    assert {one.number for one in had} == {1}


async def test_its_end_is_written_with_its_event(tasks: Tasks) -> None:
    await tasks.make("r-1", "r-2")
    good, bad = await tasks.claim()
    done = await tasks.store.complete(good, '{"a":1}', "trace of the run")
    failed = await tasks.store.fail(bad, "no\tgood", "t")
    assert done is not None
    assert failed is not None
    assert (done.status, done.result, done.error) == (Status.COMPLETED, '{"a":1}', None)
    assert (failed.status, failed.result, failed.error) == (Status.FAILED, None, "no\tgood")
    assert await tasks.store.get(good.task.id) == done
    assert good.task.change < done.change < failed.change
    sent = (await tasks.events())[2:]
    assert [(row["event_type"], row["aggregate_version"]) for row in sent] == [
        (TASK_COMPLETED, 2),
        (TASK_FAILED, 2),
    ]
    assert (sent[0]["correlation_id"], sent[0]["traceparent"]) == (
        "correlation",
        "trace of the run",
    )
    for row, outcome in zip(sent, ({"result": '{"a":1}'}, {"error": "no\tgood"}), strict=True):
        payload = PAYLOADS[row["event_type"]].model_validate_json(row["body"])
        assert outcome.items() <= payload.model_dump().items()


async def test_who_lost_the_lease_writes_nothing(tasks: Tasks) -> None:
    await tasks.make("r-1", "r-1")
    mine = await only(tasks)
    await tasks.lose(mine)
    theirs = await only(tasks, owner="somebody else")
    assert (theirs.task.id, theirs.task.attempts) == (mine.task.id, 2)
    await tasks.store.renew([mine], 10 * LEASE)
    await tasks.store.release([mine])
    assert await tasks.store.retry(mine, "late", 0) is None
    assert await tasks.store.complete(mine, "late", "t") is None
    assert await tasks.store.fail(mine, "late", "t") is None
    assert await tasks.store.get(mine.task.id) == theirs.task
    left = await tasks.store.next_due_seconds()
    assert left is not None
    assert left <= LEASE
    assert await tasks.store.complete(theirs, "{}", "t") is not None
    assert [row["event_type"] for row in await tasks.events()] == [
        TASK_PROCESS,
        TASK_PROCESS,
        TASK_COMPLETED,
    ]


async def test_an_end_that_is_written_again_is_written_once(tasks: Tasks) -> None:
    await tasks.make("r-1", "r-1")
    mine = await only(tasks)
    assert await tasks.store.complete(mine, "{}", "t") is not None
    assert await tasks.store.complete(mine, "{}", "t") is None
    forged = replace(await only(tasks), token=mine.token)
    assert await tasks.store.fail(forged, "late", "t") is None


async def test_who_waited_for_one_that_claimed_meanwhile_has_lost_it(tasks: Tasks) -> None:
    await tasks.make("r-1")
    mine = await only(tasks)
    await tasks.lose(mine)
    async with tasks.database.connection() as connection:
        async with connection.transaction():
            await connection.execute("UPDATE task_resources SET token = token + 1")
            finishing = asyncio.create_task(tasks.store.complete(mine, "late", "t"))
            while not await tasks.value(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock'"
            ):
                await asyncio.sleep(0.01)
        assert await finishing is None


async def test_one_that_is_to_be_tried_again_waits_and_those_behind_it_wait_with_it(
    tasks: Tasks,
) -> None:
    await tasks.make("r-1", "r-1")
    again = await tasks.store.retry(await only(tasks), "out of luck", 3600)
    assert again is not None
    assert (again.status, again.attempts, again.error) == (Status.PENDING, 1, "out of luck")
    assert await tasks.claim() == []
    seconds = await tasks.store.next_due_seconds()
    assert seconds is not None
    assert 3500 < seconds <= 3600
    await tasks.rows("UPDATE task_resources SET due_at = now()")
    assert (await only(tasks)).task.attempts == 2
    assert len(await tasks.events()) == 2


async def test_what_is_given_back_is_due_at_once_was_no_attempt_and_wakes_others(
    tasks: Tasks,
) -> None:
    await tasks.make("r-1", "r-2", "r-3")
    mine = await tasks.claim()
    listener = await tasks.database.connect()
    heard: asyncio.Queue[object] = asyncio.Queue()
    await tasks.outbox.close()
    await listener.add_listener(CHANNEL, lambda *_: heard.put_nowait(None))
    await tasks.store.release(mine[:2])
    await asyncio.wait_for(heard.get(), 30)
    await listener.close()
    again = await tasks.claim()
    assert [(one.task.resource_id, one.task.attempts) for one in again] == [("r-1", 1), ("r-2", 1)]


async def test_a_lease_that_is_renewed_does_not_run_out(tasks: Tasks) -> None:
    await tasks.make("r-1", "r-2")
    kept, lost = await tasks.claim()
    await tasks.lose(kept)
    await tasks.lose(lost)
    await tasks.store.renew([kept], LEASE)
    assert [one.task.id for one in await tasks.claim()] == [lost.task.id]


async def test_nothing_is_due_while_nothing_is_open(tasks: Tasks) -> None:
    assert await tasks.store.next_due_seconds() is None
    await tasks.make("r-1")
    due = await tasks.store.next_due_seconds()
    assert due is not None
    assert due <= 0
    await tasks.store.complete(await only(tasks), "{}", "t")
    assert await tasks.store.next_due_seconds() is None


async def test_what_is_open_is_counted_up_to_a_bound_with_the_age_of_the_oldest(
    tasks: Tasks,
) -> None:
    assert (await tasks.store.open(10)).count == 0
    first, *_ = await tasks.make("r-1", "r-2", "r-3")
    await tasks.rows(
        "UPDATE tasks SET created_at = now() - interval '1 hour' WHERE id = $1", first.id
    )
    found = await tasks.store.open(2)
    assert found.count == 2
    assert 3600 <= found.oldest_seconds < 3700
    for one in await tasks.claim():
        await tasks.store.complete(one, "{}", "t")
    found = await tasks.store.open(2)
    assert (found.count, found.oldest_seconds) == (0, 0)


async def test_tasks_that_ended_long_ago_are_dropped_and_their_numbers_are_not_used_again(
    tasks: Tasks,
) -> None:
    await tasks.inbox.process([event("r-1", "c", 1)])
    await tasks.make("r-2", "r-3")
    mine = await tasks.claim()
    await tasks.store.complete(mine[0], "{}", "t")
    await tasks.store.fail(mine[1], "no", "t")
    await tasks.rows("UPDATE tasks SET updated_at = now() - interval '3 days'")
    assert await tasks.store.forget(timedelta(days=4)) == 0
    assert await tasks.store.forget(timedelta(days=2)) == 2
    with pytest.raises(TaskNotFoundError):
        await tasks.store.get(mine[0].task.id)
    assert (await tasks.store.get(mine[2].task.id)).status is Status.RUNNING
    (made,) = await tasks.make("r-1")
    assert made.number == 2
    assert await tasks.numbered()

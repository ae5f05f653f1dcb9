"""Streams of changed tasks, over a channel: what they tell, how they go on, what they cost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from google.rpc import error_details_pb2

from services.contracts.proto.millrace.tasks.v1 import tasks_pb2
from services.grpc_service import watching
from services.grpc_service.cursors import Filters, encode_watch
from services.grpc_service.model import Status, Task
from services.grpc_service.snapshots import Snapshot
from services.grpc_service.watchers import BehindError, Wanted, Watcher
from tests.unit.services.grpc_service.tasks_world import Api, api
from tests.unit.services.shared.grpc_world import SOON, eventually, next_of, rest_of

PENDING, COMPLETED = tasks_pb2.TASK_STATUS_PENDING, tasks_pb2.TASK_STATUS_COMPLETED


@pytest.fixture
async def tasks() -> AsyncIterator[Api]:
    async with api(watch_page_size=4, watch_kept=3) as made:
        yield made


async def read(stream: Any, count: int) -> list[tuple[str, int]]:
    """The next so many tasks, whatever tokens come between."""
    found: list[tuple[str, int]] = []
    async with asyncio.timeout(SOON):
        while len(found) < count:
            response = await next_of(stream)
            if response.HasField("task"):
                found.append((response.task.id, response.task.status))
    return found


async def nothing(stream: Any, tasks: Api) -> None:
    """Nothing of before is told any more: what comes next is what is made now."""
    mark = tasks.memory.make("mark")
    assert await read(stream, 1) == [(mark.id, PENDING)]


async def test_a_stream_begins_at_once_and_tells_what_changes_from_then_on(tasks: Api) -> None:
    tasks.memory.make("before")
    async with tasks.watching() as (stream, first):
        assert not first.HasField("task")
        assert first.resume_token
        task = tasks.memory.make("r")
        response = await next_of(stream)
        assert (response.task.id, response.task.resource_id) == (task.id, "r")
        assert response.resume_token not in ("", first.resume_token)
        tasks.memory.end(task)
        assert await read(stream, 1) == [(task.id, COMPLETED)]


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"resource_id": "r-1"}, [0, 1]),
        ({"action": "terms"}, [1, 2]),
        ({"status": COMPLETED}, [3]),
        ({"resource_id": "r-1", "action": "terms"}, [1]),
    ],
    ids=str,
)
async def test_a_stream_tells_what_it_was_asked_for(
    tasks: Api, fields: dict[str, Any], wanted: list[int]
) -> None:
    async with tasks.watching(**fields) as (stream, first):
        made = [
            tasks.memory.make("r-1"),
            tasks.memory.make("r-1", action="terms"),
            tasks.memory.make("r-2", action="terms"),
            tasks.memory.make("r-2"),
        ]
        tasks.memory.end(made[3])
        assert [one for one, _ in await read(stream, len(wanted))] == [made[n].id for n in wanted]
        async with tasks.watching(resume_token=first.resume_token, **fields) as (again, _):
            found = await read(again, len(wanted))
            assert [one for one, _ in found] == [made[n].id for n in wanted]


async def test_what_a_transaction_commits_late_is_told_though_higher_numbers_came_first(
    tasks: Api,
) -> None:
    slow = tasks.memory.begin()
    async with tasks.watching() as (stream, first):
        tasks.memory.make("r")
        fast = await next_of(stream)
        late = replace(tasks.memory.tasks[fast.task.id], id="late")
        tasks.memory.change(slow, late)
        tasks.memory.commit(slow)
        assert await read(stream, 1) == [("late", PENDING)]
        async with (
            tasks.watching(resume_token=first.resume_token) as (of_first, _),
            tasks.watching(resume_token=fast.resume_token) as (of_fast, _),
        ):
            mark = tasks.memory.make("mark")
            assert await read(of_first, 3) == [("late", 1), (fast.task.id, 1), (mark.id, 1)]
            assert await read(of_fast, 2) == [("late", 1), (mark.id, 1)]


async def test_what_happened_while_nobody_watched_is_told_once_as_it_is_now(tasks: Api) -> None:
    async with tasks.watching() as (_, first):
        pass
    made = [tasks.memory.make(f"r-{number}") for number in range(20)]
    for task in made[::2]:
        tasks.memory.end(task)
        tasks.memory.put(tasks.memory.tasks[task.id])
    async with tasks.watching(resume_token=first.resume_token) as (stream, again):
        assert again.resume_token == first.resume_token
        found = await read(stream, 20)
        assert dict(found) == {task.id: task.status for task in (await _now(tasks))}
        await nothing(stream, tasks)


async def _now(tasks: Api) -> list[Any]:
    found, _ = await tasks.memory.list(Filters(), 1000)
    request = tasks_pb2.ListTasksRequest(page_size=200)
    listed = (await tasks.call("ListTasks", request)).response.tasks
    assert len(found) == len(listed)
    return list(listed)


async def test_a_stream_may_be_resumed_after_any_response_and_misses_nothing(tasks: Api) -> None:
    async with tasks.watching() as (_, first):
        pass
    transactions = [tasks.memory.begin() for _ in range(12)]
    made = [tasks.memory.make(f"r-{number}") for number in range(12)]
    for number, transaction in enumerate(transactions):
        for task in made[number : number + 3]:
            tasks.memory.change(transaction, tasks.memory.tasks[task.id])
    for transaction in random.Random(3).sample(transactions, 7):
        tasks.memory.commit(transaction)
    tokens, told = [first.resume_token], [set[str]()]
    async with tasks.watching(resume_token=first.resume_token) as (stream, _):
        while len(told[-1]) < len(made):
            response = await next_of(stream)
            tokens.append(response.resume_token)
            told.append(told[-1] | {response.task.id})
    for token, before in zip(tokens, told, strict=True):
        left = {task.id for task in made} - before
        async with tasks.watching(resume_token=token) as (stream, _):
            found: set[str] = set()
            while not left <= found:
                found |= {one for one, _ in await read(stream, 1)}


async def test_the_token_is_renewed_when_only_others_change_and_not_when_nothing_does() -> None:
    async with (
        api(watch_renew_seconds=0.05) as tasks,
        tasks.watching(resource_id="mine") as (stream, first),
    ):
        for _ in range(3):
            tasks.memory.make("another")
        renewed = await next_of(stream)
        assert not renewed.HasField("task")
        assert renewed.resume_token != first.resume_token
        following = asyncio.create_task(next_of(stream))
        await asyncio.sleep(0.3)
        assert not following.done()
        tasks.memory.make("mine")
        while not (await following).HasField("task"):
            following = asyncio.create_task(next_of(stream))


@pytest.mark.parametrize(
    "token",
    [
        "x",
        encode_watch(Snapshot(10), Filters(resource_id="r")),
        encode_watch(Snapshot(9999), Filters()),
    ],
    ids=["none", "of other filters", "ahead of the database"],
)
async def test_a_token_of_no_such_stream_is_refused_by_its_field(tasks: Api, token: str) -> None:
    told, ended = await rest_of(tasks.world.watching(resume_token=token))
    assert (told, ended.code) == ([], "INVALID_ARGUMENT")
    [violation] = ended.detail(error_details_pb2.BadRequest).field_violations
    assert violation.field == "resume_token"
    assert "leave it out" in violation.description
    assert len(tasks.watch) == 0


async def test_a_client_that_does_not_read_holds_up_nobody_and_is_told_the_newest_later(
    tasks: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = "x" * 100_000
    async with tasks.watching() as (slow, _), tasks.watching() as (quick, _):
        made: list[Task] = []
        for number in range(60):
            made.append(tasks.memory.make(f"r-{number}", result=large))
            assert await read(quick, 1) == [(made[-1].id, PENDING)]
        for task in made:
            tasks.memory.end(task)
        kept = [len(one._kept or ()) for some in tasks.watch._watchers.values() for one in some]
        assert max(kept) <= 3
        # Behind, one catches up page by page; each task comes at least once as it ended.
        ended: set[str] = set()
        while len(ended) < len(made):
            ended |= {one for one, status in await read(slow, 1) if status == COMPLETED}
        await eventually(lambda: len(tasks.watch) == 2)
        await nothing(slow, tasks)


async def test_a_client_that_is_gone_leaves_nothing(tasks: Api) -> None:
    streams = [tasks.world.watching(resource_id=f"r-{number % 3}") for number in range(9)]
    for stream in streams:
        await next_of(stream)
    assert len(tasks.watch) == 9
    for stream in streams:
        stream.cancel()
    await eventually(lambda: len(tasks.watch) == 0)
    assert tasks.watch._watchers == {}
    assert tasks.watch._joining == {}


async def rung(tasks: Api) -> None:
    """The bell was heard."""
    for _ in range(5):
        tasks.memory.bell.set()
        await asyncio.sleep(0.01)


async def test_while_nobody_watches_nothing_is_read_and_one_reads_for_all(tasks: Api) -> None:
    tasks.memory.make("r")
    await rung(tasks)
    assert tasks.memory.reads == 0
    streams = [tasks.world.watching() for _ in range(200)]
    await asyncio.gather(*(next_of(stream) for stream in streams))
    await rung(tasks)
    running, before = len(asyncio.all_tasks()), tasks.memory.reads
    tasks.memory.make("r")
    await asyncio.gather(*(read(stream, 1) for stream in streams))
    assert tasks.memory.reads - before <= 5, "they read for themselves"
    assert len(asyncio.all_tasks()) <= running + 5
    for stream in streams:
        stream.cancel()
    await eventually(lambda: len(tasks.watch) == 0)
    before = tasks.memory.reads
    tasks.memory.make("r")
    await rung(tasks)
    assert tasks.memory.reads == before


async def test_while_the_database_is_away_streams_wait_and_new_ones_are_to_be_tried_again(
    tasks: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_AGAIN_SECONDS", 0.05)
    async with tasks.watching() as (stream, first):
        tasks.memory.away = True
        task = tasks.memory.make("r")
        for token in ("", first.resume_token):
            told, ended = await rest_of(tasks.world.watching(resume_token=token))
            assert (told, ended.code, ended.reason) == ([], "UNAVAILABLE", "UNAVAILABLE")
            assert ended.detail(error_details_pb2.RetryInfo).retry_delay.seconds == 2
        tasks.memory.away = False
        tasks.memory.bell.set()
        assert await read(stream, 1) == [(task.id, PENDING)]


async def test_a_stream_that_is_behind_when_the_database_is_away_ends_to_be_resumed(
    tasks: Api,
) -> None:
    async with tasks.watching() as (_, first):
        pass
    made = [tasks.memory.make("r") for _ in range(10)]
    between = tasks.memory.between
    asked = 0

    async def once(*given: Any) -> Any:
        nonlocal asked
        asked += given[1] is not None  # by a stream, of what it has missed
        tasks.memory.away = asked > 1
        return await between(*given)

    tasks.memory.between = once  # type: ignore[method-assign]
    told, ended = await rest_of(tasks.world.watching(resume_token=first.resume_token))
    assert ended.code == "UNAVAILABLE"
    # Of what was sent before such an end, a client may have got any part.
    found = [one.task.id for one in told if one.HasField("task")]
    assert len(found) < 10
    tasks.memory.between = between  # type: ignore[method-assign]
    tasks.memory.away = False
    async with tasks.watching(resume_token=[first, *told][-1].resume_token) as (stream, _):
        found += [one for one, _ in await read(stream, 10 - len(found))]
    assert found == [task.id for task in made]


async def test_a_stream_of_a_database_that_was_brought_back_to_an_earlier_state_ends(
    tasks: Api,
) -> None:
    async with tasks.watching() as (stream, _):
        tasks.memory.make("r")
        await read(stream, 1)
        tasks.memory.restore(50)
        tasks.memory.make("of another history")
        _, ended = await rest_of(stream)
        assert ended.code == "INVALID_ARGUMENT"
        assert "resume_token" in ended.message
    async with tasks.watching() as (stream, _):
        await nothing(stream, tasks)


async def test_of_each_task_the_newest_state_is_kept_while_it_is_wanted(tasks: Api) -> None:
    wanted = Wanted(Filters(status=Status.PENDING))
    watcher = Watcher(wanted, Snapshot(10), most=2)
    first, other = tasks.memory.make("r"), tasks.memory.make("r")
    later = replace(first, change=other.change + 1)
    watcher.reached = Snapshot(20)
    for task in (first, other, later, replace(other, status=Status.RUNNING)):
        watcher.hear(task)
    batch = await watcher.next(SOON)
    assert (batch.tasks, batch.since, batch.until) == ([later], Snapshot(10), Snapshot(20))
    assert (await watcher.next(0)).tasks == []
    for task in (first, other, replace(first, id="third")):
        watcher.hear(task)
    for _ in range(2):
        with pytest.raises(BehindError):
            await watcher.next(0)
        watcher.hear(other)


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_happens_in_whatever_order_the_newest_state_of_each_is_told(
    tasks: Api, seed: int
) -> None:
    made = random.Random(seed)
    ids = [tasks.memory.make(f"r-{number}").id for number in range(15)]
    seen: dict[str, int] = {}
    token, running = "", dict[str, int]()
    async with tasks.watching() as (_, first):
        token = first.resume_token
    for _ in range(12):
        for _ in range(made.randint(0, 12)):
            one = made.choice(ids)
            if one in running:
                tasks.memory.commit(running.pop(one))
                continue
            running[one] = transaction = tasks.memory.begin()
            task = tasks.memory.tasks[one]
            tasks.memory.change(transaction, replace(task, attempts=task.attempts + 1))
        stream = tasks.world.watching(resume_token=token)
        for _ in range(made.randint(1, 4)):
            try:
                async with asyncio.timeout(0.05):
                    response = await next_of(stream)
            except TimeoutError:
                break
            token = response.resume_token
            if response.HasField("task"):
                seen[response.task.id] = response.task.attempts
        stream.cancel()
    for transaction in running.values():
        tasks.memory.commit(transaction)
    async with tasks.watching(resume_token=token) as (stream, _):
        mark = tasks.memory.make("mark").id
        response = await next_of(stream)
        while response.task.id != mark:
            if response.HasField("task"):
                seen[response.task.id] = response.task.attempts
            response = await next_of(stream)
    assert seen == {
        one: tasks.memory.tasks[one].attempts for one in ids if tasks.memory.tasks[one].attempts
    }

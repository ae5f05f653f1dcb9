"""Runners on a real database, with processes that die and hang."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from services.grpc_service.intake import new_task
from services.grpc_service.metrics import TaskMetrics
from services.grpc_service.model import Status
from services.grpc_service.running import Runner
from services.grpc_service.settings import TaskSettings
from services.grpc_service.slots import Slots
from services.grpc_service.upkeep import keep_forgetting, watch_open
from services.shared.outbox.wake import Wake
from tests.integration.authority import eventually
from tests.integration.grpc_service.conftest import ORIGIN, Tasks, event

SETTINGS = TaskSettings(
    concurrency=2,
    max_attempts=3,
    time_limit_seconds=1,
    lease_seconds=30,
    retry_first_seconds=0.1,
    retry_most_seconds=0.1,
    poll_seconds=300,
    stop_seconds=0,
)
HANG, KILL = '{"text":"hang"}', '{"text":"kill"}'


class Treacherous(Slots):
    """Two inputs of the first attempt end otherwise than in a result. What is to hang does so in a
    process with the limit of the settings; the others may take as long as the machine does."""

    def __init__(self, settings: TaskSettings) -> None:
        restarts = Counter("restarts", "Processes replaced.", registry=CollectorRegistry())
        super().__init__(settings.concurrency, restarts, piece_seconds=240)
        self.hanging = Slots(1, restarts, piece_seconds=settings.time_limit_seconds)
        self.left = {HANG: 1, KILL: 1}

    async def once(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        given = args[1]
        if self.left.get(given, 0) == 0:
            return await super().once(work, *args, **kwargs)
        self.left[given] -= 1
        # Of the standard library: a process would be long in importing a test.
        if given == HANG:
            return await self.hanging.once(time.sleep, 600)
        return await super().once(os._exit, 3)

    async def close(self) -> None:
        await self.hanging.close()
        await super().close()


Running = Callable[..., AbstractAsyncContextManager[Treacherous]]


@pytest.fixture
def running(tasks: Tasks) -> Running:
    @contextlib.asynccontextmanager
    async def run(
        owner: str = "me", settings: TaskSettings = SETTINGS
    ) -> AsyncIterator[Treacherous]:
        slots, wake, stopping = Treacherous(settings), Wake(), asyncio.Event()
        metrics = TaskMetrics(CollectorRegistry())
        runner = Runner(tasks.store, slots, wake, settings, metrics, owner=owner)
        listening = asyncio.create_task(wake.listen(tasks.database))
        work = asyncio.create_task(runner.run(stopping))
        try:
            yield slots
        finally:
            stopping.set()
            wake.set()
            await work
            listening.cancel()
            await slots.close()

    return run


async def ask(tasks: Tasks, resource: str, given: str) -> str:
    made = new_task(resource, "terms", given, None, most_bytes=1000)
    return (await tasks.store.create(made, ORIGIN))[0].id


async def finished(tasks: Tasks, count: int) -> None:
    async def enough() -> bool:
        return count == await tasks.value(
            "SELECT count(*) FROM tasks WHERE status IN ('completed', 'failed')"
        )

    await eventually(enough)


async def test_tasks_run_in_the_order_of_their_resource_as_soon_as_they_are_made(
    tasks: Tasks, running: Running
) -> None:
    async with running("one"), running("another"):
        await tasks.inbox.process([event(f"r-{n}", "c", 1) for n in range(5)])
        for version in range(2, 6):
            await tasks.inbox.process([event(f"r-{n}", "u", version) for n in range(5)])
        await tasks.inbox.process([event(f"r-{n}", "d", 6) for n in range(5)])
        # Polling would take minutes.
        await finished(tasks, 30)
    rows = await tasks.rows("SELECT * FROM tasks ORDER BY resource_id, change")
    assert [(row["resource_id"], row["number"]) for row in rows] == [
        (f"r-{n}", number) for n in range(5) for number in range(1, 7)
    ]
    assert {(row["status"], row["attempts"]) for row in rows} == {("completed", 1)}
    assert await tasks.numbered()


async def test_a_task_that_kills_its_process_or_hangs_is_tried_again_and_others_are_not_hurt(
    tasks: Tasks, running: Running
) -> None:
    async with running():
        hung, killed = await ask(tasks, "r-1", HANG), await ask(tasks, "r-2", KILL)
        others = [await ask(tasks, f"s-{n}", '{"text":"a"}') for n in range(20)]
        await finished(tasks, 22)
    for task, attempts in ((hung, 2), (killed, 2), *((one, 1) for one in others)):
        found = await tasks.store.get(task)
        assert (found.status, found.attempts) == (Status.COMPLETED, attempts)


async def test_a_task_that_kills_its_process_each_time_is_given_up(
    tasks: Tasks, running: Running
) -> None:
    async with running() as slots:
        slots.left[KILL] = 100
        task = await ask(tasks, "r-1", KILL)
        behind = await ask(tasks, "r-1", '{"text":"a"}')
        await finished(tasks, 2)
    found = await tasks.store.get(task)
    assert (found.status, found.attempts) == (Status.FAILED, 3)
    assert str(found.error).startswith("LostError: BrokenProcessPool")
    assert (await tasks.store.get(behind)).status is Status.COMPLETED
    assert await tasks.numbered()


async def test_bad_input_fails_at_the_first_attempt(tasks: Tasks, running: Running) -> None:
    async with running():
        task = await ask(tasks, "r-1", '{"text":7}')
        await finished(tasks, 1)
    found = await tasks.store.get(task)
    assert (found.status, found.attempts) == (Status.FAILED, 1)
    assert found.error == "input: text: must be text"


async def test_what_a_runner_gives_back_when_it_stops_another_one_does(
    tasks: Tasks, running: Running
) -> None:
    long = SETTINGS.model_copy(update={"time_limit_seconds": 600.0})
    async with running("one", settings=long):
        task = await ask(tasks, "r-1", HANG)

        async def begun() -> bool:
            return (await tasks.store.get(task)).status is Status.RUNNING

        await eventually(begun)
    found = await tasks.store.get(task)
    assert (found.status, found.attempts) == (Status.PENDING, 0)
    async with running("another") as slots:
        slots.left.clear()
        await finished(tasks, 1)
    assert (await tasks.store.get(task)).attempts == 1


async def test_upkeep_drops_what_is_old_and_tells_what_is_open(tasks: Tasks) -> None:
    await tasks.make("r-1", "r-2")
    first, _ = await tasks.claim()
    await tasks.store.complete(first, "{}", "t")
    await tasks.rows("UPDATE tasks SET updated_at = now() - interval '20 days'")
    tending = [
        asyncio.create_task(
            keep_forgetting(tasks.store, tasks.inbox, tasks.metrics, days=15, every=600)
        ),
        asyncio.create_task(watch_open(tasks.store, tasks.metrics, 0.05)),
    ]

    labels = {"operation": "upkeep", "outcome": "success"}

    async def tended() -> bool:
        count = await tasks.value("SELECT count(*) FROM tasks")
        rounds = tasks.registry.get_sample_value("tasks_db_operations_total", labels)
        return count == rounds == 1 == tasks.registry.get_sample_value("tasks_pending")

    await eventually(tended)
    for one in tending:
        one.cancel()

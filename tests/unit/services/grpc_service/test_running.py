"""How tasks are claimed, tried, ended and given back, with a store and processes of the test's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry

from services.grpc_service.metrics import TaskMetrics
from services.grpc_service.model import Claimed, Status, Task
from services.grpc_service.running import Runner
from services.grpc_service.settings import TaskSettings
from services.grpc_service.work import BadInputError, perform
from services.shared.outbox.wake import Wake
from services.shared.postgres.database import DatabaseUnavailableError
from services.shared.runtime.pool import LostError
from tests.harness.traces import CALLER, about, recording, span_of, trace_of
from tests.unit.services.shared.loop_clock import LoopClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = TaskSettings(
    concurrency=2,
    max_attempts=3,
    lease_seconds=30,
    retry_first_seconds=8,
    retry_most_seconds=12,
    poll_seconds=100,
    stop_seconds=20,
)


UNSAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


def claimed(name: str, attempts: int = 1, traceparent: str = UNSAMPLED) -> Claimed:
    task = Task(
        id=f"t-{name}",
        resource_id=name,
        action="digest",
        status=Status.RUNNING,
        number=1,
        attempts=attempts,
        result=None,
        error=None,
        correlation_id="c",
        traceparent=traceparent,
        change=1,
        created_at=NOW,
        updated_at=NOW,
    )
    return Claimed(task, "{}", 1)


class Store:
    """Gives what is in `due`, and notes the rest."""

    def __init__(self) -> None:
        self.due: list[Claimed] = []
        self.next: float | None = None
        self.limits: list[int] = []
        self.renewed: list[list[str]] = []
        self.released: list[str] = []
        self.ends: list[tuple[str, str, str]] = []
        self.pauses: list[float] = []
        self.traceparents: list[str] = []
        self.away = False
        self.lost = False

    def _ask(self) -> None:
        if self.away:
            raise DatabaseUnavailableError("away")

    async def claim(self, limit: int, owner: str, lease_seconds: float) -> list[Claimed]:
        assert (owner, lease_seconds) == ("me", 30)
        self.limits.append(limit)
        self._ask()
        taken, self.due = self.due[:limit], self.due[limit:]
        return taken

    async def next_due_seconds(self) -> float | None:
        return self.next

    async def renew(self, claimed: Sequence[Claimed], lease_seconds: float) -> None:
        assert lease_seconds == 30
        self.renewed.append([one.task.resource_id for one in claimed])

    async def release(self, claimed: Sequence[Claimed]) -> None:
        self._ask()
        self.released += [one.task.resource_id for one in claimed]

    async def complete(self, claimed: Claimed, result: str, traceparent: str) -> Task | None:
        return self._end(claimed, Status.COMPLETED, result, traceparent)

    async def fail(self, claimed: Claimed, error: str, traceparent: str) -> Task | None:
        return self._end(claimed, Status.FAILED, error, traceparent)

    async def retry(self, claimed: Claimed, error: str, seconds: float) -> Task | None:
        self.pauses.append(seconds)
        return self._end(claimed, Status.PENDING, error, "")

    def _end(self, one: Claimed, status: Status, text: str, traceparent: str) -> Task | None:
        self._ask()
        self.ends.append((one.task.resource_id, status, text))
        self.traceparents.append(traceparent)
        later = NOW + timedelta(seconds=5)
        return None if self.lost else replace(one.task, status=status, updated_at=later)


class Processes:
    """What tasks come to is set by the test, in their order."""

    def __init__(self) -> None:
        self.asked: list[asyncio.Future[str]] = []

    async def once(self, work: Callable[..., str], *args: Any, **kwargs: Any) -> str:
        assert (work, args, kwargs) == (perform, ("digest", "{}"), {})
        self.asked.append(asyncio.get_running_loop().create_future())
        return await self.asked[-1]

    def rest(self, idle_seconds: float) -> None:
        assert idle_seconds == SETTINGS.rest_seconds


class World:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.store = Store()
        self.processes = Processes()
        self.wake = Wake()
        self.stopping = asyncio.Event()
        runner = Runner(
            self.store,
            self.processes,
            self.wake,
            SETTINGS,
            TaskMetrics(self.registry),
            owner="me",
        )
        self.running = asyncio.create_task(runner.run(self.stopping))

    async def until(self, true: Callable[[], object]) -> None:
        for _ in range(1000):
            if true():
                return
            await asyncio.sleep(0)
        raise AssertionError("it did not come to that")

    async def due(self, *some: Claimed) -> None:
        """They are begun, as far as there is room."""
        room = min(len(some), SETTINGS.concurrency)
        count = len(self.processes.asked) + room
        self.store.due += some
        self.wake.set()
        await self.until(lambda: len(self.processes.asked) == count)

    async def ends(self, count: int) -> list[tuple[str, str, str]]:
        await self.until(lambda: len(self.store.ends) == count)
        return self.store.ends

    async def turns(self, count: int = 1) -> None:
        """It has looked for work that often again, and waits."""
        count += len(self.store.limits)
        await self.until(lambda: len(self.store.limits) >= count)
        for _ in range(5):
            await asyncio.sleep(0)

    def stop(self) -> None:
        self.stopping.set()
        self.wake.set()

    def counted(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> LoopClock:
    return LoopClock(monkeypatch)


@pytest.fixture
async def world(clock: LoopClock) -> AsyncIterator[World]:
    made = World()
    await made.turns()
    yield made
    made.running.cancel()
    await asyncio.gather(made.running, return_exceptions=True)


async def test_a_result_is_written_in_the_tasks_trace_and_the_next_one_is_looked_for(
    world: World,
) -> None:
    await world.due(claimed("a"))
    looks = len(world.store.limits)
    world.processes.asked[0].set_result("r")
    assert await world.ends(1) == [("a", Status.COMPLETED, "r")]
    assert world.store.traceparents[0].split("-")[1] == "0af7651916cd43dd8448eb211c80319c"
    await world.until(lambda: len(world.store.limits) > looks)
    assert world.counted("task_attempts_total", action="digest", outcome="completed") == 1
    assert world.counted("tasks_finished_total", action="digest", status="completed") == 1
    assert world.counted("task_duration_seconds_sum") == 5


async def test_an_attempt_is_a_step_of_the_trace_and_the_end_of_the_task_goes_on_from_it(
    world: World,
) -> None:
    with recording() as traces:
        await world.due(claimed("a", traceparent=CALLER))
        world.processes.asked[0].set_exception(LostError("gone"))
        await world.ends(1)
        await world.due(claimed("a", attempts=3, traceparent=CALLER))
        world.processes.asked[1].set_exception(LostError("gone"))
        await world.ends(2)
        await world.until(lambda: len(traces.named("run task")) == 2)
        first, last = traces.named("run task")
        assert [about(one)["error.type"] for one in (first, last)] == ["retried", "failed"]
        assert about(last)["millrace.task.attempt"] == 3
        assert world.store.traceparents[1] == f"00-{trace_of(last)}-{span_of(last)}-01"


async def test_no_more_run_than_may_and_the_end_of_one_makes_room(world: World) -> None:
    await world.due(claimed("a"), claimed("b"), claimed("c"))
    assert world.store.limits[-1] == 2
    world.wake.set()
    world.processes.asked[1].set_result("r")
    await world.until(lambda: len(world.processes.asked) == 3)
    assert world.store.limits[-1] == 1
    assert world.store.due == []


async def test_input_that_no_attempt_can_use_has_failed_at_once(world: World) -> None:
    await world.due(claimed("a"))
    world.processes.asked[0].set_exception(BadInputError("text: must be text"))
    assert await world.ends(1) == [("a", Status.FAILED, "input: text: must be text")]
    assert world.counted("tasks_finished_total", action="digest", status="failed") == 1


@pytest.mark.parametrize("error", [LostError("gone"), MemoryError("none left"), OSError("disk")])
async def test_what_another_attempt_may_do_is_tried_again_after_a_pause_that_grows(
    world: World, error: Exception
) -> None:
    await world.due(claimed("a", attempts=1))
    world.processes.asked[0].set_exception(error)
    await world.ends(1)
    await world.due(claimed("a", attempts=2))
    world.processes.asked[1].set_exception(error)
    text = f"{type(error).__name__}: {error}"
    assert await world.ends(2) == [("a", Status.PENDING, text)] * 2
    first, second = world.store.pauses
    assert 4 <= first <= 8
    assert 6 <= second <= 12  # twice as long would be more than the most
    assert world.counted("task_attempts_total", action="digest", outcome="retried") == 2
    await world.due(claimed("a", attempts=3))
    world.processes.asked[2].set_exception(error)
    assert (await world.ends(3))[-1] == ("a", Status.FAILED, text)


async def test_what_cost_everybody_who_ran_it_its_life_is_not_begun_again(world: World) -> None:
    world.store.due.append(claimed("a", attempts=4))
    world.wake.set()
    ((resource, status, text),) = await world.ends(1)
    assert (resource, status) == ("a", Status.FAILED)
    assert "begun 3 times" in text
    assert world.processes.asked == []


async def test_an_error_is_written_as_the_database_can_hold_it(world: World) -> None:
    await world.due(claimed("a", attempts=3))
    world.processes.asked[0].set_exception(OSError("\0\ud800" + "x" * 5000))
    ((_, _, text),) = await world.ends(1)
    assert text.startswith("OSError: \\ud800x")
    assert len(text) == 1000


async def test_a_task_that_another_process_has_now_is_left_to_it(world: World) -> None:
    world.store.lost = True
    await world.due(claimed("a"))
    world.processes.asked[0].set_result("r")
    await world.ends(1)
    lost = {"action": "digest", "outcome": "lost"}
    await world.until(lambda: world.counted("task_attempts_total", **lost) == 1)
    assert world.counted("tasks_finished_total", action="digest", status="completed") == 0


async def test_an_end_is_kept_until_the_database_takes_it(world: World, clock: LoopClock) -> None:
    await world.due(claimed("a"))
    world.store.away = True
    world.processes.asked[0].set_result("r")
    for _ in range(3):
        clock.forward(10)
        await asyncio.sleep(0)
    assert world.store.ends == []
    world.store.away = False
    clock.forward(10)
    assert await world.ends(1) == [("a", Status.COMPLETED, "r")]


async def test_without_a_database_it_goes_on_asking_and_says_so_once(
    world: World, clock: LoopClock
) -> None:
    world.store.away = True
    with structlog.testing.capture_logs() as lines:
        world.wake.set()
        await world.turns()
        for _ in range(3):
            clock.forward(5.1)
            await world.turns()
        world.store.away = False
        clock.forward(5.1)
        await world.turns()
    assert [line["event"] for line in lines] == ["tasks_not_claimed", "tasks_claimed_again"]


async def test_the_next_look_is_when_a_task_is_due_or_when_polling_is(
    world: World, clock: LoopClock
) -> None:
    world.store.next = 40
    world.wake.set()
    await world.turns()
    looks = len(world.store.limits)
    clock.forward(39)
    await asyncio.sleep(0)
    assert len(world.store.limits) == looks
    world.store.next = None
    clock.forward(1.1)
    await world.turns()
    clock.forward(99)
    await asyncio.sleep(0)
    assert len(world.store.limits) == looks + 1
    clock.forward(1.1)
    await world.turns()


async def test_leases_are_renewed_while_tasks_run_and_not_otherwise(
    world: World, clock: LoopClock
) -> None:
    clock.forward(10.1)
    await asyncio.sleep(0)
    assert world.store.renewed == []
    await world.due(claimed("a"), claimed("b"))
    for count in (1, 2, 3):
        clock.forward(10.1)
        await world.until(lambda count=count: len(world.store.renewed) == count)
    assert world.store.renewed == [["a", "b"]] * 3


async def test_told_to_stop_it_claims_nothing_and_waits_for_what_runs(
    world: World, clock: LoopClock
) -> None:
    await world.due(claimed("a"))
    world.store.due.append(claimed("b"))
    world.stop()
    clock.forward(19)
    for _ in range(20):
        await asyncio.sleep(0)
    assert not world.running.done()
    world.processes.asked[0].set_result("r")
    await world.until(world.running.done)
    assert world.store.ends == [("a", Status.COMPLETED, "r")]
    assert world.store.released == []
    assert len(world.store.due) == 1


@pytest.mark.parametrize("away", [False, True])
async def test_what_runs_for_longer_than_it_may_after_that_is_given_back(
    world: World, clock: LoopClock, away: bool
) -> None:
    await world.due(claimed("a"), claimed("b"))
    world.stop()
    world.processes.asked[0].set_result("r")
    await world.ends(1)
    world.store.away = away
    for _ in range(5):
        await asyncio.sleep(0)
    clock.forward(20.1)
    await world.until(world.running.done)
    assert world.running.exception() is None
    assert world.store.released == ([] if away else ["b"])

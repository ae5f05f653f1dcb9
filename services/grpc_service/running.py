"""Runs tasks: claims what is due, has it done in a process, and writes down how it ended."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

from services.grpc_service.metrics import TaskMetrics
from services.grpc_service.model import Claimed, Status, Task
from services.grpc_service.settings import TaskSettings
from services.grpc_service.work import BadInputError, perform
from services.shared.postgres.database import DatabaseUnavailableError
from services.shared.runtime import context
from services.shared.runtime.logging import get_logger
from services.shared.runtime.rounds import keep_doing
from services.shared.runtime.trouble import Trouble
from services.shared.tracing import lines, spans

log = get_logger(__name__)

_SOONEST: Final = 0.1
"""Seconds: what is due and cannot be had is in somebody's hands just now."""
_SHORTEST, _LONGEST = 0.2, 5.0
_ERROR_CHARACTERS: Final = 1000


class Store(Protocol):
    """The part of TaskStore that is used here."""

    async def claim(self, limit: int, owner: str, lease_seconds: float) -> list[Claimed]: ...
    async def next_due_seconds(self) -> float | None: ...
    async def renew(self, claimed: Sequence[Claimed], lease_seconds: float) -> None: ...
    async def release(self, claimed: Sequence[Claimed]) -> None: ...
    async def complete(self, claimed: Claimed, result: str, traceparent: str) -> Task | None: ...
    async def fail(self, claimed: Claimed, error: str, traceparent: str) -> Task | None: ...
    async def retry(self, claimed: Claimed, error: str, seconds: float) -> Task | None: ...


class Processes(Protocol):
    """The part of Slots that is used here."""

    async def once(self, work: Callable[..., str], *args: Any, **kwargs: Any) -> str: ...
    def rest(self, idle_seconds: float) -> None: ...


class Bell(Protocol):
    """The part of Wake that is used here."""

    def set(self) -> None: ...
    async def wait(self, seconds: float) -> None: ...


class Outcome(NamedTuple):
    """Of an attempt. again: it may be tried again; text: the result, or what went wrong."""

    status: Status
    text: str
    again: bool = False

    @property
    def name(self) -> str:
        """By which it is counted."""
        return "retried" if self.again else self.status


class Runner:
    """Runs at most `concurrency` tasks at a time, as `owner`, which no other process is.

    A task is begun again when whoever ran it says nothing for the length of its lease, so it may
    run twice; but one end is written, by the one that holds it last.
    """

    def __init__(
        self,
        store: Store,
        processes: Processes,
        wake: Bell,
        settings: TaskSettings,
        metrics: TaskMetrics,
        *,
        owner: str,
    ) -> None:
        self._store = store
        self._processes = processes
        self._wake = wake
        self._settings = settings
        self._metrics = metrics
        self._owner = owner
        self._running: dict[asyncio.Task[None], Claimed] = {}
        self._trouble = Trouble()

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping` is set, of which the bell has to tell, too; then what runs may go on for
        stop_seconds, and the rest is given back."""
        keeping = asyncio.create_task(self._keep_leases())
        try:
            while not stopping.is_set():
                await self._wake.wait(await self._turn())
            if self._running:
                await asyncio.wait(self._running, timeout=self._settings.stop_seconds)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await self._give_back()

    async def _turn(self) -> float:
        """Begin what can be begun; for how many seconds there is nothing more to do."""
        self._processes.rest(self._settings.rest_seconds)
        free = self._settings.concurrency - len(self._running)
        if free <= 0:
            return self._settings.poll_seconds  # the end of any task rings
        try:
            claimed = await self._store.claim(free, self._owner, self._settings.lease_seconds)
            for one in claimed:
                begun = asyncio.create_task(self._work(one))
                self._running[begun] = one
                begun.add_done_callback(self._ended)
            due = await self._store.next_due_seconds() if len(claimed) < free else None
        except Exception as error:  # whatever it is, tasks wait, and are asked for again
            if self._trouble.worth_logging("tasks_not_claimed"):
                log.warning("tasks_not_claimed", error=f"{type(error).__name__}: {error}")
            return min(_LONGEST, self._settings.poll_seconds)
        if self._trouble.over():
            log.info("tasks_claimed_again")
        if due is None:
            return self._settings.poll_seconds
        return min(self._settings.poll_seconds, max(_SOONEST, due))

    def _ended(self, begun: asyncio.Task[None]) -> None:
        del self._running[begun]
        self._wake.set()

    async def _keep_leases(self) -> None:
        async def renew() -> None:
            if self._running:
                await self._store.renew([*self._running.values()], self._settings.lease_seconds)

        every = self._settings.lease_seconds / 3
        await keep_doing(renew, every=every, trouble="leases_not_renewed")

    async def _give_back(self) -> None:
        left = dict(self._running)
        for begun in left:
            begun.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if left:
            # What is not given back is begun again when its lease has run out.
            with suppress(DatabaseUnavailableError):
                await self._store.release([*left.values()])
            log.info("tasks_given_back", count=len(left))

    async def _work(self, one: Claimed) -> None:
        task = one.task
        trace = context.continue_trace(task.traceparent)
        context.bind(task.correlation_id, trace)
        origin = spans.recorded(task.traceparent)
        about = {"millrace.task.action": task.action, "millrace.task.attempt": task.attempts}
        try:
            with (
                context.Serving([spans.of(origin)] if origin else ()),
                spans.step("run task", "INTERNAL", about) as span,
            ):
                outcome = await self._attempt(one)
                if span is not None:
                    if outcome.status is Status.FAILED:
                        spans.fail(span, outcome.name)
                    lines.tell("task_run", span, task_id=task.id, outcome=outcome.name)
                traceparent = spans.passed_on(span, trace.traceparent)
                await self._settle(one, outcome, traceparent)
        except Exception:  # a fault of ours: its lease runs out, and that was an attempt
            log.exception("task_not_settled", task_id=task.id)

    async def _attempt(self, one: Claimed) -> Outcome:
        task, most = one.task, self._settings.max_attempts
        if task.attempts > most:
            return Outcome(Status.FAILED, f"given up: begun {most} times, and whoever ran it died")
        began = time.monotonic()
        try:
            result = await self._processes.once(perform, task.action, one.input)
        except BadInputError as error:
            return Outcome(Status.FAILED, _said(f"input: {error}"))
        except Exception as error:  # of whatever kind: the next attempt may be luckier
            text = _said(f"{type(error).__name__}: {error}")
            return Outcome(Status.FAILED, text, again=task.attempts < most)
        finally:
            self._metrics.run_seconds.observe(time.monotonic() - began, spans.exemplar())
        return Outcome(Status.COMPLETED, result)

    async def _settle(self, one: Claimed, outcome: Outcome, traceparent: str) -> None:
        """Write it down, for as long as it takes: the work is done, and would be done again."""
        task = one.task
        if outcome.again:
            pause = self._pause(task.attempts)
            left = await self._insist(lambda: self._store.retry(one, outcome.text, pause))
        elif outcome.status is Status.COMPLETED:
            left = await self._insist(lambda: self._store.complete(one, outcome.text, traceparent))
        else:
            left = await self._insist(lambda: self._store.fail(one, outcome.text, traceparent))
        if left is None:
            self._metrics.attempts.labels(task.action, "lost").inc()
            log.warning("task_lost", task_id=task.id, attempt=task.attempts)
            return
        self._metrics.attempts.labels(task.action, outcome.name).inc()
        if left.final:
            self._metrics.finished.labels(task.action, left.status).inc()
            age = (left.updated_at - left.created_at).total_seconds()
            self._metrics.whole_seconds.observe(max(0.0, age), spans.exemplar())

    async def _insist(self, write: Callable[[], Awaitable[Task | None]]) -> Task | None:
        pause = _SHORTEST
        while True:
            try:
                return await write()
            except DatabaseUnavailableError as error:
                if self._trouble.worth_logging("tasks_not_settled"):
                    log.warning("tasks_not_settled", error=str(error))
            await asyncio.sleep(pause)
            pause = min(_LONGEST, 2 * pause)

    def _pause(self, attempts: int) -> float:
        """Seconds until the next one: all that failed together do not come back together."""
        first, most = self._settings.retry_first_seconds, self._settings.retry_most_seconds
        longest = min(most, first * 2.0 ** min(attempts - 1, 60))
        return random.uniform(longest / 2, longest)  # noqa: S311


def _said(text: str) -> str:
    """Of an error, what PostgreSQL and an event can hold."""
    storable = text.encode("utf-8", "backslashreplace").decode().replace("\0", "")
    return storable[:_ERROR_CHARACTERS]

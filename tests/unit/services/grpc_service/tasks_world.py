"""Tasks in memory, whose transactions a test begins and commits as it likes, and their API."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from services.contracts.ids import new_id
from services.grpc_service.api import task_service
from services.grpc_service.changes import Heard
from services.grpc_service.cursors import Filters, decode, encode
from services.grpc_service.intake import NewTask
from services.grpc_service.model import (
    RequestConflictError,
    ResourceGoneError,
    Status,
    Task,
    TaskNotFoundError,
)
from services.grpc_service.settings import TaskSettings
from services.grpc_service.snapshots import Snapshot
from services.grpc_service.watchers import Wanted
from services.grpc_service.watching import Watch
from services.shared.outbox.events import Origin
from services.shared.outbox.wake import Wake
from services.shared.postgres.database import DatabaseUnavailableError
from tests.unit.services.shared.grpc_world import World, next_of, serving

NOW: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
QUICK: Final[Mapping[str, Any]] = {
    "watch_poll_seconds": 300,
    "watch_pause_seconds": 0,
    "watch_renew_seconds": 300,
}


class Memory:
    """Store and changes of tasks: a transaction is begun, changes tasks, and commits some time."""

    def __init__(self) -> None:
        self.bell = Wake()
        self.tasks: dict[str, Task] = {}
        self.inputs: dict[str, NewTask] = {}
        self.origins: list[Origin] = []
        self.gone: set[str] = set()
        self.away = False
        self.reads = 0
        self._next = 100
        self._running: dict[int, list[Task]] = {}

    def begin(self) -> int:
        self._next += 1
        self._running[self._next] = []
        return self._next

    def change(self, transaction: int, task: Task) -> None:
        self._running[transaction].append(replace(task, change=transaction))

    def commit(self, transaction: int) -> None:
        for task in self._running.pop(transaction):
            self.tasks[task.id] = task
        self.bell.set()

    def put(self, *tasks: Task) -> None:
        """In a transaction of their own."""
        transaction = self.begin()
        for task in tasks:
            self.change(transaction, task)
        self.commit(transaction)

    def make(self, resource_id: str = "r", **more: Any) -> Task:
        """A task, in a transaction of its own."""
        task = Task(
            id=new_id(),
            resource_id=resource_id,
            action="digest",
            status=Status.PENDING,
            number=1,
            attempts=0,
            result=None,
            error=None,
            correlation_id=None,
            traceparent=None,
            change=0,
            created_at=NOW,
            updated_at=NOW,
        )
        task = replace(task, **more)
        self.put(task)
        return self.tasks[task.id]

    def end(self, task: Task, **more: Any) -> None:
        self.put(replace(self.tasks[task.id], status=Status.COMPLETED, result="{}", **more))

    def restore(self, transaction: int) -> None:
        """To a state in which that one was to be the next."""
        self.tasks.clear()
        self._next = transaction

    def _answer(self) -> None:
        self.reads += 1
        if self.away:
            raise DatabaseUnavailableError("away")

    async def create(self, given: NewTask, origin: Origin) -> tuple[Task, bool]:
        self._answer()
        for task_id, other in self.inputs.items():
            if given.request_id is not None and other.request_id == given.request_id:
                if other.digest != given.digest:
                    raise RequestConflictError
                return self.tasks[task_id], False
        if given.resource_id in self.gone:
            raise ResourceGoneError
        self.origins.append(origin)
        task = self.make(given.resource_id, action=given.action)
        self.inputs[task.id] = given
        return task, True

    async def get(self, task_id: str) -> Task:
        self._answer()
        if task_id not in self.tasks:
            raise TaskNotFoundError
        return self.tasks[task_id]

    async def list(
        self, filters: Filters, limit: int, cursor: str | None = None
    ) -> tuple[list[Task], str | None]:
        self._answer()
        before = "g" if cursor is None else decode(cursor, filters)
        wanted = Wanted(filters)
        every = sorted(self.tasks.values(), key=lambda task: task.id, reverse=True)
        found = [task for task in every if task.id < before and wanted.matches(task)]
        more = len(found) > limit
        return found[:limit], encode(found[limit - 1].id, filters) if more else None

    def seen(self) -> Snapshot:
        return Snapshot(self._next + 1, tuple(sorted(self._running)))

    async def now(self) -> Snapshot:
        self._answer()
        return self.seen()

    async def between(
        self, since: Snapshot, until: Snapshot | None, filters: Filters, limit: int
    ) -> Heard:
        self._answer()
        until = until or self.seen()
        unseen = [
            task
            for task in sorted(self.tasks.values(), key=lambda task: (task.change, task.id))
            if until.sees(task.change) and not since.sees(task.change)
        ]
        more = len(unseen) >= limit
        if more:
            last = unseen[limit - 1].change
            unseen = [task for task in unseen if task.change <= last]
            until = since.towards(until, last)
        return Heard([task for task in unseen if Wanted(filters).matches(task)], until, more)


@dataclass
class Api:
    """The API over a channel, and the tasks behind it."""

    world: World
    memory: Memory
    watch: Watch
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, method: str, request: Any, **more: Any) -> Any:
        return await self.world.call(method, request, **more)

    @contextlib.asynccontextmanager
    async def watching(self, **fields: Any) -> AsyncIterator[Any]:
        """A stream that has begun, and its first response."""
        stream = self.world.watching(**fields)
        first = await next_of(stream)
        try:
            yield stream, first
        finally:
            stream.cancel()


@asynccontextmanager
async def api(**settings: Any) -> AsyncIterator[Api]:
    memory = Memory()
    given = TaskSettings(**{**QUICK, **settings})
    watch = Watch(memory, memory.bell, given)
    service = task_service(memory, watch, given)
    stopping = asyncio.Event()
    running = asyncio.create_task(watch.run(stopping))
    handlers: dict[str, Any] = {one.name: one.handler for one in service.methods}
    many = {"streams": 2000, "calls_per_connection": 2000}
    try:
        async with serving(explain=service.explain, settings=many, **handlers) as world:
            yield Api(world, memory, watch, stopping)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def told(responses: Iterator[Any] | list[Any]) -> list[tuple[str, int]]:
    """Of responses the tasks that they tell of."""
    return [(one.task.id, one.task.status) for one in responses if one.HasField("task")]

"""The API of tasks over a channel, on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from services.grpc_service.api import task_service
from services.grpc_service.changes import Changes, Heard
from services.grpc_service.cursors import Filters
from services.grpc_service.settings import TaskSettings
from services.grpc_service.snapshots import Snapshot
from services.grpc_service.watching import Watch
from services.shared.outbox.wake import Wake
from tests.integration.grpc_service.conftest import Tasks
from tests.unit.services.shared.grpc_world import SOON, World, next_of, serving


class Counted(Changes):
    """Changes, with a count of how often they are read."""

    reads = 0

    async def now(self) -> Snapshot:
        self.reads += 1
        return await super().now()

    async def between(
        self, since: Snapshot, until: Snapshot | None, filters: Filters, limit: int
    ) -> Heard:
        self.reads += 1
        return await super().between(since, until, filters, limit)


class Served:
    """The API, and who watches behind it."""

    def __init__(self, world: World, watch: Watch, changes: Counted) -> None:
        self.world = world
        self.watch = watch
        self.changes = changes

    async def call(self, method: str, request: Any, **more: Any) -> Any:
        return await self.world.call(method, request, **more)

    @asynccontextmanager
    async def watching(self, **fields: Any) -> AsyncIterator[Any]:
        """A stream that has begun, and its first response."""
        stream = self.world.watching(**fields)
        first = await next_of(stream)
        try:
            yield stream, first
        finally:
            stream.cancel()


async def read(stream: Any, count: int) -> list[Any]:
    """The next so many responses that tell of a task."""
    found: list[Any] = []
    async with asyncio.timeout(3 * SOON):
        while len(found) < count:
            response = await next_of(stream)
            if response.HasField("task"):
                found.append(response)
    return found


@asynccontextmanager
async def served(tasks: Tasks, **settings: Any) -> AsyncIterator[Served]:
    given = TaskSettings(**settings)
    wake, changes = Wake(), Counted(tasks.database)
    watch = Watch(changes, wake, given)
    service = task_service(tasks.store, watch, given)
    handlers: dict[str, Any] = {one.name: one.handler for one in service.methods}
    beside = [
        asyncio.create_task(wake.listen(tasks.database)),
        asyncio.create_task(watch.run(asyncio.Event())),
    ]
    many = {"streams": 2000, "calls_per_connection": 2000}
    try:
        async with serving(explain=service.explain, settings=many, **handlers) as world:
            yield Served(world, watch, changes)
    finally:
        for one in beside:
            one.cancel()
        await asyncio.gather(*beside, return_exceptions=True)

"""A database of tasks for each test, and what the service does with it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from services.contracts.ids import new_id
from services.contracts.topics import RESOURCE_CREATED, RESOURCE_DELETED, RESOURCE_UPDATED
from services.grpc_service.effect import TasksOfEvents
from services.grpc_service.intake import NewTask, new_task
from services.grpc_service.metrics import TaskMetrics
from services.grpc_service.model import Claimed, Task
from services.grpc_service.store import TaskStore
from services.migrate.engines import ENGINES
from services.migrate.runner import migrate
from services.shared.inbox.records import Record
from services.shared.inbox.store import Inbox
from services.shared.outbox.events import Origin, Outbox
from services.shared.postgres.database import Database
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import PATIENCE
from tests.integration.servers import PostgresServer

ORIGIN = Origin("correlation", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
TYPES = {"c": RESOURCE_CREATED, "u": RESOURCE_UPDATED, "d": RESOURCE_DELETED}
LEASE = 60.0
_numbers = itertools.count(1)


def asked(resource: str = "r-1", request_id: str | None = None, given: str = "{}") -> NewTask:
    return new_task(resource, "digest", given, request_id, most_bytes=10_000)


def event(resource: str, kind: str, version: int | None, event_id: str | None = None) -> Record:
    """`kind`: c, u or d."""
    return Record(
        id=event_id or new_id(),
        event_type=TYPES[kind],
        aggregate=resource,
        version=version,
        payload=f'{{"id": "{resource}", "name": "n", "description": null}}',
        correlation_id="of the event",
        traceparent=ORIGIN.traceparent,
        last=kind == "d",
    )


class Tasks:
    """The service's parts on one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.registry = CollectorRegistry()
        self.metrics = TaskMetrics(self.registry)
        self.outbox = Outbox(database)
        self.store = TaskStore(database, self.outbox, self.metrics)
        self.inbox = Inbox(database, TasksOfEvents(self.metrics), 600)

    async def rows(self, query: str, *args: object) -> list[asyncpg.Record]:
        return await self.database.fetch(query, *args)

    async def value(self, query: str, *args: object) -> Any:
        return (await self.rows(query, *args))[0][0]

    async def make(self, *resources: str) -> list[Task]:
        return [(await self.store.create(asked(one), ORIGIN))[0] for one in resources]

    async def claim(self, limit: int = 10, owner: str = "me") -> list[Claimed]:
        found = await self.store.claim(limit, owner, LEASE)
        return sorted(found, key=lambda one: one.task.resource_id)

    async def lose(self, claimed: Claimed) -> None:
        """As if its lease had run out."""
        await self.rows(
            "UPDATE task_resources SET due_at = now() WHERE resource_id = $1",
            claimed.task.resource_id,
        )

    async def events(self) -> Sequence[asyncpg.Record]:
        return await self.rows("SELECT *, payload::text AS body FROM outbox_events ORDER BY seq")

    async def numbered(self) -> bool:
        """Whether the events of each resource's tasks have the numbers 1, 2, …, in the order in
        which they leave the outbox."""
        found: dict[str, list[int]] = {}
        for row in await self.events():
            found.setdefault(row["aggregate_id"], []).append(row["aggregate_version"])
        assert found
        return all(numbers == list(range(1, len(numbers) + 1)) for numbers in found.values())


@pytest.fixture
async def taskdb(postgres: PostgresServer) -> AsyncIterator[DatabaseSettings]:
    settings = await postgres.provision(f"taskdb_{next(_numbers)}")
    await migrate("taskdb", "grpc_service", settings, ENGINES["postgres"])
    yield settings
    await postgres.as_admin(f"DROP DATABASE {settings.name} WITH (FORCE)")


@pytest.fixture
async def tasks(taskdb: DatabaseSettings) -> AsyncIterator[Tasks]:
    database = Database(
        taskdb,
        CollectorRegistry(),
        application_name="tasks",
        connect_timeout=PATIENCE,
        acquire_timeout=30.0,
        command_timeout=30.0,
    )
    await database.open()
    made = Tasks(database)
    yield made
    await made.outbox.close()
    await database.close()

"""Tasks in PostgreSQL, every end and every beginning together with its event in ONE statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from services.contracts.ids import new_id
from services.grpc_service import statements
from services.grpc_service.cursors import Filters, decode, encode
from services.grpc_service.intake import NewTask
from services.grpc_service.metrics import TaskMetrics
from services.grpc_service.model import (
    Claimed,
    RequestConflictError,
    ResourceGoneError,
    Status,
    Task,
    TaskNotFoundError,
)
from services.shared.outbox.events import Origin, Outbox
from services.shared.postgres.database import Database
from services.shared.postgres.forgetting import forget

_PAST_ALL_IDS = "g"
"""Ids are lower-case UUIDs compared by bytes."""


@dataclass(frozen=True, slots=True)
class Open:
    """Tasks without an end yet: how many, or `most` where there are more, and the oldest's age."""

    count: int
    oldest_seconds: float


class TaskStore:
    """Every method raises DatabaseUnavailableError when the database is away."""

    def __init__(self, database: Database, outbox: Outbox, metrics: TaskMetrics) -> None:
        self._database = database
        self._outbox = outbox
        self._metrics = metrics

    async def create(self, given: NewTask, origin: Origin) -> tuple[Task, bool]:
        """A new task and its task.process event; or the one that its request id stands for, False.

        Raises ResourceGoneError, RequestConflictError, having changed nothing.
        """
        values = (new_id(), given.action, given.request_id, given.input, given.digest)
        try:
            row = await self._outbox.write(statements.CREATE, given.resource_id, origin, *values)
        except asyncpg.UniqueViolationError:
            # Somebody else has made it since the statement began.
            (row,) = await self._database.fetch(statements.KNOWN, given.request_id)
        if row["task_id"] is None:
            raise ResourceGoneError
        if row["id"] is not None:
            self._metrics.created.labels(given.action).inc()
        elif row["request_digest"] != given.digest:
            raise RequestConflictError
        return to_task(row), row["id"] is not None

    async def get(self, task_id: str) -> Task:
        """Raises TaskNotFoundError."""
        row = await self._database.fetchrow(statements.GET, task_id)
        if row is None:
            raise TaskNotFoundError
        return to_task(row)

    async def list(
        self, filters: Filters, limit: int, cursor: str | None = None
    ) -> tuple[list[Task], str | None]:
        """At most `limit` tasks, newest first, and the cursor of the next page, if there is one.

        Raises BadCursorError.
        """
        before = _PAST_ALL_IDS if cursor is None else decode(cursor, filters)
        asked = {"resource_id": filters.resource_id, "action": filters.action}
        equal = {name: value for name, value in asked.items() if value is not None}
        statement = statements.page(filters.status, *equal)
        rows = await self._database.fetch(statement, before, limit + 1, *equal.values())
        found = [to_task(row) for row in rows[:limit]]
        more = len(rows) > limit
        return found, encode(found[-1].id, filters) if more else None

    async def claim(self, limit: int, owner: str, lease_seconds: float) -> list[Claimed]:
        """At most `limit` tasks that are due, each the first of its resource, ours for that long.

        One whose lease has run out is among them: who had it may be dead. Both count as attempts.
        """
        lease = timedelta(seconds=lease_seconds)
        rows = await self._database.fetch(statements.CLAIM, limit, owner, lease)
        return [Claimed(to_task(row), row["input"], row["token"]) for row in rows]

    async def next_due_seconds(self) -> float | None:
        """In how many seconds a task is due, or a lease runs out; None while no task is open."""
        row = await self._database.fetchrow(statements.NEXT_DUE)
        return None if row is None else row["seconds"]

    async def renew(self, claimed: Sequence[Claimed], lease_seconds: float) -> None:
        """Keep those that are ours still for so long from now on."""
        lease = timedelta(seconds=lease_seconds)
        await self._database.fetch(statements.RENEW, *_tokens(claimed), lease)

    async def release(self, claimed: Sequence[Claimed]) -> None:
        """Give back what is ours still, as if it had not been claimed."""
        await self._database.fetch(statements.RELEASE, *_tokens(claimed))

    async def complete(self, claimed: Claimed, result: str, traceparent: str) -> Task | None:
        """Its result, and its task.completed event. None: it was no longer ours.

        traceparent: what the event says.
        """
        return await self._finish(statements.COMPLETE, claimed, result, traceparent)

    async def fail(self, claimed: Claimed, error: str, traceparent: str) -> Task | None:
        """It is given up, with its task.failed event. None, traceparent: as complete()."""
        return await self._finish(statements.FAIL, claimed, error, traceparent)

    async def _finish(
        self, statement: str, claimed: Claimed, outcome: str, traceparent: str
    ) -> Task | None:
        task = claimed.task
        origin = Origin(task.correlation_id, traceparent)
        row = await self._outbox.write(statement, task.resource_id, origin, claimed.token, outcome)
        return None if row["id"] is None else to_task(row)

    async def retry(self, claimed: Claimed, error: str, seconds: float) -> Task | None:
        """Let it be tried again in so many seconds. None: it was no longer ours."""
        row = await self._database.fetchrow(
            statements.RETRY,
            claimed.task.resource_id,
            claimed.token,
            error,
            timedelta(seconds=seconds),
        )
        return None if row is None else to_task(row)

    async def open(self, most: int) -> Open:
        """What is not done yet, counted up to `most`."""
        row = await self._database.fetchrow(statements.OPEN, most)
        assert row is not None, "there are no conditions"
        return Open(row["count"], row["oldest_seconds"] or 0.0)

    async def forget(self, retention: timedelta) -> int:
        """Drop tasks that ended longer ago than that; return how many."""
        return await forget(self._database, statements.FORGET, retention)


def _tokens(claimed: Sequence[Claimed]) -> tuple[list[str], list[int]]:
    return [one.task.resource_id for one in claimed], [one.token for one in claimed]


def to_task(row: asyncpg.Record) -> Task:
    """Of a row with COLUMNS."""
    return Task(
        id=row["task_id"],
        resource_id=row["resource_id"],
        action=row["action"],
        status=Status(row["status"]),
        number=row["number"],
        attempts=row["attempts"],
        result=row["result"],
        error=row["error"],
        correlation_id=row["correlation_id"],
        traceparent=row["traceparent"],
        change=row["change"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )

"""The methods of millrace.tasks.v1.TaskService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any, Final, Protocol

import grpc

from services.contracts.ids import is_uuid7
from services.contracts.proto.millrace.tasks.v1 import tasks_pb2
from services.contracts.scopes import TASKS_READ, TASKS_WRITE
from services.grpc_service import translating
from services.grpc_service.cursors import (
    BadCursorError,
    Filters,
    decode_watch,
    encode,
    encode_watch,
)
from services.grpc_service.following import Following
from services.grpc_service.intake import InvalidTaskError, NewTask
from services.grpc_service.model import (
    RequestConflictError,
    ResourceGoneError,
    Task,
    TaskNotFoundError,
)
from services.grpc_service.settings import TaskSettings
from services.grpc_service.watchers import BehindError, Wanted
from services.grpc_service.watching import Watch
from services.shared.grpc import calls
from services.shared.grpc.calls import Call
from services.shared.grpc.errors import StatusError, invalid, unavailable
from services.shared.grpc.methods import Method, Service
from services.shared.http.problem import FieldError
from services.shared.outbox.events import Origin
from services.shared.postgres.database import DatabaseUnavailableError

_TO_ANSWER: Final = 0.25
"""Seconds of a call's time that are left for its answer when it has waited."""
_PAGE_BYTES: Final = 1 << 20
"""Of a page's tasks: a page with results may be large, and clients take 4 MiB."""


class Store(Protocol):
    """The part of TaskStore that is used here."""

    async def create(self, given: NewTask, origin: Origin) -> tuple[Task, bool]: ...
    async def get(self, task_id: str) -> Task: ...
    async def list(
        self, filters: Filters, limit: int, cursor: str | None = None
    ) -> tuple[list[Task], str | None]: ...


def task_service(store: Store, watch: Watch, settings: TaskSettings) -> Service:
    """As a server takes it. `watch` has to run for streams and waits to be told anything."""
    methods = TaskMethods(store, watch, settings)
    return Service(
        tasks_pb2.DESCRIPTOR.services_by_name["TaskService"],
        [
            Method("ProcessTask", methods.process, TASKS_WRITE),
            Method("GetTaskStatus", methods.get, TASKS_READ),
            Method("ListTasks", methods.list, TASKS_READ),
            Method("WatchTasks", methods.watch, TASKS_READ),
        ],
        explain,
    )


class TaskMethods:
    """Each raises StatusError, and what explain() knows."""

    def __init__(self, store: Store, watch: Watch, settings: TaskSettings) -> None:
        self._store = store
        self._watch = watch
        self._following = Following(watch, settings)
        self._settings = settings

    async def process(self, request: tasks_pb2.ProcessTaskRequest, call: Call) -> Any:
        given = translating.asked_for(request, most_bytes=self._settings.input_bytes)
        wait = translating.seconds_to_wait(request)
        task, _ = await self._store.create(given, Origin(call.correlation_id, call.traceparent))
        wait = min(wait, self._settings.wait_seconds, call.remaining() - _TO_ANSWER)
        if wait > 0 and not task.final:
            with calls.waiting():
                task = await self._ended(task, wait)
        return tasks_pb2.ProcessTaskResponse(task=translating.message(task))

    async def _ended(self, task: Task, seconds: float) -> Task:
        """The task when it has ended, or as it is known when that takes longer, or cannot be
        known: it was made, whatever becomes of the wait."""
        wanted = Wanted(Filters(resource_id=task.resource_id), task.id)
        with suppress(TimeoutError, DatabaseUnavailableError, TaskNotFoundError, BehindError):
            async with asyncio.timeout(seconds), self._watch.joined(wanted) as watcher:
                task = await self._store.get(task.id)  # it may have ended before that
                while not task.final and not watcher.over:
                    batch = await watcher.next(seconds)
                    task = batch.tasks[-1] if batch.tasks else task
        return task

    async def get(self, request: tasks_pb2.GetTaskStatusRequest, _call: Call) -> Any:
        if not request.task_id:
            raise InvalidTaskError("task_id", "must be the id of a task")
        if not is_uuid7(request.task_id):
            raise TaskNotFoundError
        task = await self._store.get(request.task_id)
        return tasks_pb2.GetTaskStatusResponse(task=translating.message(task))

    async def list(self, request: tasks_pb2.ListTasksRequest, _call: Call) -> Any:
        settings = self._settings
        filters = translating.filters(request)
        size = translating.page_size(request, default=settings.page_size, most=settings.page_most)
        try:
            found, cursor = await self._store.list(filters, size, request.page_token or None)
        except BadCursorError:
            raise _bad_token("page_token", "next_page_token of an earlier page") from None
        page = tasks_pb2.ListTasksResponse(next_page_token=cursor or "")
        size = 0
        for place, task in enumerate(found):
            told = translating.message(task)
            size += told.ByteSize()
            if place and size > _PAGE_BYTES:
                page.next_page_token = encode(found[place - 1].id, filters)
                break
            page.tasks.append(told)
        return page

    async def watch(self, request: tasks_pb2.WatchTasksRequest, _call: Call) -> AsyncIterator[Any]:
        filters = translating.filters(request)
        try:
            since = decode_watch(request.resume_token, filters) if request.resume_token else None
            async with aclosing(self._following.follow(Wanted(filters), since)) as told:
                async for task, reached in told:
                    token = encode_watch(reached, filters)
                    response = tasks_pb2.WatchTasksResponse(resume_token=token)
                    if task is not None:
                        response.task.CopyFrom(translating.message(task))
                    yield response
        except BadCursorError:
            raise _bad_token("resume_token", "resume_token of an earlier stream") from None


def explain(error: Exception) -> StatusError | None:
    """Which status an exception of the methods means."""
    match error:
        case InvalidTaskError():
            return invalid(FieldError(field=error.field, reason=error.reason))
        case TaskNotFoundError():
            return StatusError(
                grpc.StatusCode.NOT_FOUND,
                "TASK_NOT_FOUND",
                "no task has this id, or it ended so long ago that it was dropped; ListTasks tells"
                " of those that there are",
            )
        case RequestConflictError():
            return StatusError(
                grpc.StatusCode.ALREADY_EXISTS,
                "REQUEST_ID_REUSED",
                "the request_id came with another content before; take a new one for another task",
                fields=[FieldError(field="request_id", reason="belongs to a task of its own")],
            )
        case ResourceGoneError():
            return StatusError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "RESOURCE_DELETED",
                "the resource was deleted and has had its last task; ask for one of another",
            )
        case DatabaseUnavailableError():
            return unavailable("the database")
        case _:
            return None


def _bad_token(field: str, what: str) -> StatusError:
    reason = f"must be the {what} with the same filters; leave it out to begin anew"
    return invalid(FieldError(field=field, reason=reason))

"""What the messages of the contract mean, and the messages that tasks are told by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from services.contracts.proto.millrace.tasks.v1 import tasks_pb2
from services.grpc_service.cursors import Filters
from services.grpc_service.intake import InvalidTaskError, NewTask, check_resource_id, new_task
from services.grpc_service.model import Status, Task

_STATUSES: Final[Mapping[Status, tasks_pb2.TaskStatus]] = {
    Status.PENDING: tasks_pb2.TASK_STATUS_PENDING,
    Status.RUNNING: tasks_pb2.TASK_STATUS_RUNNING,
    Status.COMPLETED: tasks_pb2.TASK_STATUS_COMPLETED,
    Status.FAILED: tasks_pb2.TASK_STATUS_FAILED,
}
_MEANT: Final[Mapping[int, Status | None]] = {
    tasks_pb2.TASK_STATUS_UNSPECIFIED: None,
    **{number: status for status, number in _STATUSES.items()},
}
_EXACT: Final = 2**53
"""Up to here every whole number is a double."""
_NANOS: Final = 10**9


def message(task: Task) -> tasks_pb2.Task:
    """The task, as callers see it."""
    told = tasks_pb2.Task(
        id=task.id,
        resource_id=task.resource_id,
        action=task.action,
        status=_STATUSES[task.status],
        result=task.result,
        error=task.error,
        attempts=task.attempts,
    )
    told.create_time.FromDatetime(task.created_at)
    told.update_time.FromDatetime(task.updated_at)
    return told


def asked_for(request: tasks_pb2.ProcessTaskRequest, *, most_bytes: int) -> NewTask:
    """The task of a request. Raises InvalidTaskError."""
    given = _object(request.input)
    text = json.dumps(given, ensure_ascii=False)
    return new_task(
        request.resource_id, request.action, text, request.request_id or None, most_bytes=most_bytes
    )


def seconds_to_wait(request: tasks_pb2.ProcessTaskRequest) -> float:
    """For the task's end. Raises InvalidTaskError."""
    wait = request.wait
    if wait.seconds < 0 or not 0 <= wait.nanos < _NANOS:
        raise InvalidTaskError("wait", "must be a duration that is not negative")
    return wait.seconds + wait.nanos / _NANOS


def filters(request: tasks_pb2.ListTasksRequest | tasks_pb2.WatchTasksRequest) -> Filters:
    """Those of a request. Raises InvalidTaskError."""
    if request.resource_id:
        check_resource_id(request.resource_id)
    if not request.action.isprintable():
        raise InvalidTaskError("action", "must be characters that can be printed")
    if request.status not in _MEANT:
        known = ", ".join(str(number) for number in _MEANT)
        raise InvalidTaskError("status", f"must be one of {known}")
    status = _MEANT[request.status]
    return Filters(request.resource_id or None, status, request.action or None)


def page_size(request: tasks_pb2.ListTasksRequest, *, default: int, most: int) -> int:
    """How many tasks a page may have. Raises InvalidTaskError."""
    if request.page_size < 0:
        raise InvalidTaskError("page_size", f"must be 1 to {most}, or 0 for {default}")
    return min(request.page_size or default, most)


def _object(struct: Any) -> dict[str, Any]:
    return {name: _value(value) for name, value in struct.fields.items()}


def _value(value: Any) -> Any:
    """What JSON has for it. A whole number is written as one, as in the events: the same content
    is to have the same digest, whichever way it came."""
    match value.WhichOneof("kind"):
        case "struct_value":
            return _object(value.struct_value)
        case "list_value":
            return [_value(item) for item in value.list_value.values]
        case "number_value":
            number: float = value.number_value
            return int(number) if abs(number) <= _EXACT and number.is_integer() else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case _:
            return None

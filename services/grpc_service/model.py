"""Tasks as they are stored, and why one can be refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Status(StrEnum):
    """The life of a task: begun once or more often, and then the one end or the other."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


FINAL = frozenset({Status.COMPLETED, Status.FAILED})
"""After these there is no other."""


@dataclass(frozen=True, slots=True)
class Task:
    """What anybody may see of a task.

    number: its place among the tasks of its resource, 1, 2, …, in which they run. attempts: how
    often it was begun. result: of a completed one. error: of its last attempt, for people. change:
    the number of the transaction that changed its state last; numbers are given when transactions
    begin, so a higher one may be seen first (changes.py). Times are in UTC.
    """

    id: str
    resource_id: str
    action: str
    status: Status
    number: int
    attempts: int
    result: str | None
    error: str | None
    correlation_id: str | None
    traceparent: str | None
    change: int
    created_at: datetime
    updated_at: datetime

    @property
    def final(self) -> bool:
        """Whether it will never change again."""
        return self.status in FINAL


@dataclass(frozen=True, slots=True)
class Claimed:
    """A task that is ours to run. token: what we finish it with, while nobody has claimed its
    resource since."""

    task: Task
    input: str
    token: int


class TaskNotFoundError(Exception):
    """No task has this id, or has had it lately."""


class ResourceGoneError(Exception):
    """The resource was deleted: it has had its last task."""


class RequestConflictError(Exception):
    """The request id belongs to a task with other content."""

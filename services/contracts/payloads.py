"""The payload of every event, as a model and as a JSON Schema (`docs/events`).

A producer may build its payload in SQL, next to the row it tells of; a test holds what it builds to
the model. A consumer reads what it needs and ignores fields that it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.telemetry import TelemetryPoint
from services.contracts.topics import (
    RESOURCE_CREATED,
    RESOURCE_DELETED,
    RESOURCE_UPDATED,
    TASK_COMPLETED,
    TASK_FAILED,
    TASK_PROCESS,
    TELEMETRY_POINTS,
)

MAX_ID_LENGTH: Final = 100
"""Characters of a resource's or task's id: the width of the columns that hold them."""
MAX_ACTION_LENGTH: Final = 50

Identifier = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]
Action = Annotated[str, Field(min_length=1, max_length=MAX_ACTION_LENGTH)]


class Payload(BaseModel):
    """Base of all payloads: what a producer may write, so a field nobody declared is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ResourcePayload(Payload):
    """The whole resource as the write left it. Times are RFC 3339 in UTC."""

    id: Identifier = Field(description="The resource; also the message's key.")
    name: str
    description: str | None
    status: str
    created_at: datetime
    updated_at: datetime


class ResourceDeletedPayload(Payload):
    """All that is left of a resource; the last event it will ever have."""

    id: Identifier = Field(description="The resource; also the message's key.")
    status: Literal["deleted"]


class TaskPayload(Payload):
    """A task that is to be done."""

    task_id: Identifier
    resource_id: Identifier
    action: Action
    status: str


class TaskCompletedPayload(Payload):
    """A task that is done, with what came of it."""

    task_id: Identifier
    resource_id: Identifier
    action: Action
    status: Literal["completed"]
    result: str


class TaskFailedPayload(Payload):
    """A task that was given up."""

    task_id: Identifier
    resource_id: Identifier
    action: Action
    status: Literal["failed"]
    error: str = Field(description="What went wrong at its last attempt, for people.")


PAYLOADS: Final[Mapping[str, type[BaseModel]]] = {
    RESOURCE_CREATED: ResourcePayload,
    RESOURCE_UPDATED: ResourcePayload,
    RESOURCE_DELETED: ResourceDeletedPayload,
    TASK_PROCESS: TaskPayload,
    TASK_COMPLETED: TaskCompletedPayload,
    TASK_FAILED: TaskFailedPayload,
    TELEMETRY_POINTS: TelemetryPoint,
}
"""Topic to the payload of its messages. But for telemetry's they are events."""

VERSIONS: Final[Mapping[str, int]] = {
    RESOURCE_CREATED: 1,
    RESOURCE_UPDATED: 1,
    RESOURCE_DELETED: 1,
    TASK_PROCESS: 1,
    TASK_COMPLETED: 1,
    TASK_FAILED: 1,
    TELEMETRY_POINTS: 1,
}
"""Topic to the version that its model says. Whoever changes what a payload may be raises it by one
and runs `python -m services.contracts.schemas`; docs/events/README.md says what may change."""


def version_of(event_type: str) -> int:
    """The version of an event's payload that this release knows; 1 of those without a model."""
    return VERSIONS.get(event_type, 1)

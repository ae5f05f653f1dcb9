"""Where the next page of tasks begins, and of which question it is the next one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from services.contracts.ids import is_uuid7
from services.grpc_service.model import Status
from services.shared.runtime.cursors import seal, unseal

_DIGITS = 16


class BadCursorError(Exception):
    """It is of no page of this question: leave it out for the first."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which tasks are asked for; None: whichever."""

    resource_id: str | None = None
    status: Status | None = None
    action: str | None = None


def encode(task_id: str, filters: Filters) -> str:
    """The cursor of the page after the task."""
    return seal(f"{task_id} {_mark(filters)}")


def decode(cursor: str, filters: Filters) -> str:
    """The task of encode(). Raises BadCursorError, also when the filters were others."""
    task_id, _, mark = unseal(cursor).partition(" ")
    if not is_uuid7(task_id) or mark != _mark(filters):
        raise BadCursorError
    return task_id


def _mark(filters: Filters) -> str:
    asked = json.dumps([filters.resource_id, filters.status, filters.action])
    return hashlib.sha256(asked.encode()).hexdigest()[:_DIGITS]

"""Where the next page of tasks begins, or the next watch, and of which question it is the next."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from services.contracts.ids import is_uuid7
from services.grpc_service.model import Status
from services.grpc_service.snapshots import Snapshot
from services.shared.runtime.cursors import seal, unseal

_DIGITS = 16
_MOST_RUNNING: Final = 50
"""Transactions that a token names, which is to stay below a kilobyte."""


class BadCursorError(Exception):
    """It is of no page, or no watch, of this question: leave it out for the first."""


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


def encode_watch(reached: Snapshot, filters: Filters) -> str:
    """The token of a watch that goes on from there."""
    return seal(f"{reached.shortened(_MOST_RUNNING)} {_mark(filters)}")


def decode_watch(token: str, filters: Filters) -> Snapshot:
    """The snapshot of encode_watch(). Raises BadCursorError, also when the filters were others.

    Anybody could make a token: one that names more than ours do would have each of them looked up.
    """
    text, _, mark = unseal(token).partition(" ")
    if mark == _mark(filters) and text.count(",") < _MOST_RUNNING:
        with suppress(ValueError):
            return Snapshot.parse(text)
    raise BadCursorError


def _mark(filters: Filters) -> str:
    asked = json.dumps([filters.resource_id, filters.status, filters.action])
    return hashlib.sha256(asked.encode()).hexdigest()[:_DIGITS]

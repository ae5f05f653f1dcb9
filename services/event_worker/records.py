"""Which messages are events that the worker stores, and in what order they are."""

from __future__ import annotations

from typing import Any

from services.contracts.envelope import Envelope, parse
from services.contracts.payloads import MAX_ACTION_LENGTH, MAX_ID_LENGTH
from services.contracts.topics import RESOURCE_DELETED, RESOURCE_EVENTS, TASK_ENDS
from services.shared.inbox.records import Message, Record, record_of
from services.shared.inbox.resources import resource_record, text_in, verb_of

_TASKS = "tasks:"
"""Before a task event's key: numbers of tasks are not those of the resource with that key, whose id
is a UUID and begins with nothing like it."""
_OF_TASKS = {
    "resource_id": MAX_ID_LENGTH,
    "task_id": MAX_ID_LENGTH,
    "action": MAX_ACTION_LENGTH,
}
"""What rows.py takes out of a task's payload, and how many characters its columns have."""


def to_record(message: Message) -> Record:
    """The event that a message stands for. Raises BadEventError when it stands for none.

    A task event without a number, which need not have one, is of no order.
    """
    envelope, payload = parse(message.topic(), message.key(), message.value(), message.headers())
    if envelope.type in RESOURCE_EVENTS:
        return resource_record(envelope, payload)
    for name, limit in _OF_TASKS.items():
        text_in(payload, name, limit)
    aggregate = _TASKS + envelope.aggregate_id
    return record_of(envelope, aggregate, last=_ends_all(envelope, payload))


def _ends_all(envelope: Envelope, payload: dict[str, Any]) -> bool:
    """Whether a task ends that is the last of its key: the one about its resource's deletion, or
    the only one, which is its own key."""
    return envelope.type in TASK_ENDS and (
        payload.get("action") == verb_of(RESOURCE_DELETED)
        or payload.get("task_id") == envelope.aggregate_id
    )

"""Rows of processed_events made from Kafka messages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from services.contracts.envelope import BadEventError, parse
from services.contracts.payloads import MAX_ACTION_LENGTH, MAX_ID_LENGTH
from services.contracts.topics import RESOURCE_DELETED, RESOURCE_EVENTS

MAX_TYPE_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Record:
    """One row to be, with the columns of processed_events.

    resource_id doubles as the aggregate whose order `version` counts. version None: not numbered,
    may take effect at once.
    """

    id: str
    event_type: str
    resource_id: str | None
    task_id: str | None
    action: str | None
    payload: str
    version: int | None
    correlation_id: str | None
    traceparent: str | None = None
    """For log lines; it is not stored."""

    @property
    def deletes(self) -> bool:
        """Whether this is the last event its resource will ever have."""
        return self.event_type == RESOURCE_DELETED


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """A stored record that waits for an earlier one. overdue: it has waited long enough."""

    record: Record
    held_at: datetime
    overdue: bool = False


class Message(Protocol):
    """The part of confluent_kafka.Message that is read here."""

    def topic(self) -> Any: ...
    def key(self) -> Any: ...
    def value(self) -> Any: ...
    def headers(self) -> Any: ...


def numbers_events(topic: str) -> bool:
    """Whether the events of `topic` have a place in the order of their resource; tasks do not."""
    return topic in RESOURCE_EVENTS


def to_record(message: Message) -> Record:
    """The row a message stands for. Raises BadEventError when it stands for none."""
    envelope, payload = parse(message.topic(), message.key(), message.value(), message.headers())
    if len(envelope.type) > MAX_TYPE_LENGTH:
        raise BadEventError(f"event type: longer than {MAX_TYPE_LENGTH} characters")
    verb = envelope.type.rpartition(".")[2]
    numbered = numbers_events(envelope.type)
    if numbered:
        resource_id = _text(payload, "id", MAX_ID_LENGTH, required=True)
        if resource_id != envelope.aggregate_id:
            raise BadEventError("value.id: differs from the message's key")
        task_id, action = None, verb
    else:
        resource_id = _text(payload, "resource_id", MAX_ID_LENGTH)
        task_id = _text(payload, "task_id", MAX_ID_LENGTH)
        action = _text(payload, "action", MAX_ACTION_LENGTH) or verb
    return Record(
        id=envelope.id,
        event_type=envelope.type,
        resource_id=resource_id,
        task_id=task_id,
        action=action[:MAX_ACTION_LENGTH],
        payload=envelope.payload,
        version=envelope.aggregate_version if numbered else None,
        correlation_id=envelope.correlation_id,
        traceparent=envelope.traceparent,
    )


def _text(payload: dict[str, Any], name: str, limit: int, *, required: bool = False) -> str | None:
    value = payload.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value:
        raise BadEventError(f"value.{name}: must be text")
    if len(value) > limit:
        raise BadEventError(f"value.{name}: longer than {limit} characters")
    return value

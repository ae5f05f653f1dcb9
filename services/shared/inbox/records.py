"""Events as an inbox takes them: what their order goes by, and a payload that it does not read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from services.contracts.envelope import BadEventError, Envelope

MAX_TYPE_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Record:
    """An event that is to have its effect.

    id: UUIDv7, the same on every delivery. aggregate: whose events `version` counts, 1, 2, …; at
    most 200 characters. version None: it is not numbered, and has its effect at once. payload: the
    JSON text of an object. last: its aggregate ends with it, and may be forgotten one day.
    """

    id: str
    event_type: str
    aggregate: str
    version: int | None
    payload: str
    correlation_id: str | None = None
    traceparent: str | None = None
    last: bool = False


def record_of(envelope: Envelope, aggregate: str, *, last: bool) -> Record:
    """The record of an event. `aggregate`: that of the envelope, or one that is made of it.

    Raises BadEventError for what an inbox has no room for.
    """
    if len(envelope.type) > MAX_TYPE_LENGTH:
        raise BadEventError(f"event type: longer than {MAX_TYPE_LENGTH} characters")
    return Record(
        id=envelope.id,
        event_type=envelope.type,
        aggregate=aggregate,
        version=envelope.aggregate_version,
        payload=envelope.payload,
        correlation_id=envelope.correlation_id,
        traceparent=envelope.traceparent,
        last=last,
    )


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """A stored record that waits for an earlier one. overdue: it has waited long enough."""

    record: Record
    held_at: datetime
    overdue: bool = False


class Message(Protocol):
    """The part of confluent_kafka.Message that is read."""

    def topic(self) -> Any: ...
    def key(self) -> Any: ...
    def value(self) -> Any: ...
    def headers(self) -> Any: ...

"""Events of resources as records, for every service that has an effect of them."""

from __future__ import annotations

from typing import Any

from services.contracts.envelope import BadEventError, Envelope
from services.contracts.payloads import MAX_ACTION_LENGTH, MAX_ID_LENGTH
from services.contracts.topics import RESOURCE_DELETED
from services.shared.inbox.records import Record, record_of


def resource_record(envelope: Envelope, payload: dict[str, Any]) -> Record:
    """The record of an event of a resource, in the order of its resource.

    Raises BadEventError when it tells of another than its key says.
    """
    if text_in(payload, "id", MAX_ID_LENGTH, required=True) != envelope.aggregate_id:
        raise BadEventError("value.id: differs from the message's key")
    return record_of(envelope, envelope.aggregate_id, last=envelope.type == RESOURCE_DELETED)


def verb_of(event_type: str) -> str:
    """What it says has happened, `created` of `resource.created`."""
    return event_type.rpartition(".")[2][:MAX_ACTION_LENGTH]


def text_in(
    payload: dict[str, Any], name: str, limit: int, *, required: bool = False
) -> str | None:
    """The text of a field, at most `limit` characters; None where it may be left out and is.

    Raises BadEventError.
    """
    value = payload.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value:
        raise BadEventError(f"value.{name}: must be text")
    if len(value) > limit:
        raise BadEventError(f"value.{name}: longer than {limit} characters")
    return value

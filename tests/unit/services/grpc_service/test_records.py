"""Of which messages tasks are made."""

from __future__ import annotations

from typing import Any

import pytest

from services.contracts.envelope import BadEventError
from services.contracts.ids import new_id
from services.contracts.topics import RESOURCE_DELETED, RESOURCE_UPDATED, TASK_PROCESS
from services.grpc_service.effect import to_record


class Message:
    def __init__(self, topic: str, value: bytes = b'{"id": "r-1"}') -> None:
        self._topic = topic
        self._value = value

    def topic(self) -> str:
        return self._topic

    def key(self) -> bytes:
        return b"r-1"

    def value(self) -> bytes:
        return self._value

    def headers(self) -> list[tuple[str, Any]]:
        return [("event_id", new_id().encode()), ("aggregate_version", b"7")]


@pytest.mark.parametrize(("topic", "last"), [(RESOURCE_UPDATED, False), (RESOURCE_DELETED, True)])
def test_an_event_of_a_resource_has_its_place_among_those_of_the_resource(
    topic: str, last: bool
) -> None:
    made = to_record(Message(topic))
    assert (made.event_type, made.aggregate, made.version, made.last) == (topic, "r-1", 7, last)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Message(RESOURCE_UPDATED, b'{"id": "r-2"}'), r"value\.id: differs"),
        (Message(TASK_PROCESS), r"topic task\.process: no task"),
    ],
)
def test_any_other_message_is_refused_with_the_reason(message: Message, reason: str) -> None:
    with pytest.raises(BadEventError, match=reason):
        to_record(message)

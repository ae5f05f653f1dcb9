"""Which messages become rows, and which rows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from services.contracts.envelope import BadEventError
from services.contracts.ids import new_id
from services.contracts.topics import (
    RESOURCE_CREATED,
    RESOURCE_DELETED,
    RESOURCE_UPDATED,
    TASK_COMPLETED,
    TASK_FAILED,
    TASK_PROCESS,
)
from services.event_worker.records import to_record
from services.shared.inbox.resources import verb_of

EVENT_ID = new_id()


@dataclass
class Message:
    name: str = RESOURCE_CREATED
    the_key: bytes | None = b"r-1"
    body: bytes | None = b'{"id": "r-1"}'
    heads: dict[str, Any] = field(default_factory=lambda: {"event_id": EVENT_ID.encode()})

    def topic(self) -> str:
        return self.name

    def key(self) -> bytes | None:
        return self.the_key

    def value(self) -> bytes | None:
        return self.body

    def headers(self) -> list[tuple[str, Any]]:
        return list(self.heads.items())


def task(name: str = TASK_PROCESS, **changes: Any) -> Message:
    payload = {"task_id": "t", "resource_id": "r-1", "action": "scan", "status": "s"} | changes
    return Message(name=name, body=json.dumps(payload).encode())


def test_an_event_has_the_place_among_those_of_its_resource_that_it_came_with() -> None:
    message = Message()
    message.heads |= {"aggregate_version": b"7", "correlation_id": b"c", "traceparent": b"t"}
    made = to_record(message)
    assert (made.id, made.event_type, made.payload) == (EVENT_ID, RESOURCE_CREATED, '{"id": "r-1"}')
    assert (made.aggregate, made.version) == ("r-1", 7)
    assert (made.correlation_id, made.traceparent) == ("c", "t")


def test_tasks_have_an_order_of_their_own_beside_that_of_the_resource_with_their_key() -> None:
    message = task()
    message.heads["aggregate_version"] = b"7"
    made = to_record(message)
    assert (made.aggregate, made.version) == ("tasks:r-1", 7)


def test_a_task_event_need_neither_be_numbered_nor_say_what_it_is_about() -> None:
    made = to_record(task(resource_id=None, task_id=None, action=None))
    assert (made.aggregate, made.version) == ("tasks:r-1", None)


@pytest.mark.parametrize(
    ("message", "last"),
    [
        (Message(name=RESOURCE_CREATED), False),
        (Message(name=RESOURCE_UPDATED), False),
        (Message(name=RESOURCE_DELETED), True),
        (task(TASK_COMPLETED), False),
        (task(TASK_PROCESS, action="deleted"), False),
        (task(TASK_COMPLETED, action="deleted"), True),
        (task(TASK_FAILED, action="deleted"), True),
        (task(TASK_PROCESS, task_id="r-1", resource_id=None), False),
        (task(TASK_FAILED, task_id="r-1", resource_id=None), True),
    ],
)
def test_an_order_ends_with_its_resource_and_with_the_only_task_there_is(
    message: Message, last: bool
) -> None:
    assert to_record(message).last == last


def test_what_has_happened_is_the_last_word_of_a_type() -> None:
    assert verb_of(RESOURCE_DELETED) == "deleted"
    assert verb_of("x." + "y" * 60) == "y" * 50


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Message(the_key=None), "key: missing"),
        (Message(the_key=b"\xff"), "key: not UTF-8"),
        (Message(the_key=b"k" * 101), "key: longer than 100"),
        (Message(name="x" * 101), "event type: longer than 100"),
        (Message(body=None), "value: missing"),
        (Message(body=b""), "value: not JSON"),
        (Message(body=b"7"), "value: not a JSON object"),
        (Message(body=b'{"id": "r-1", "n": Infinity}'), "value: not JSON"),
        (Message(body=b'{"id": "r-2"}'), r"value\.id: differs"),
        (Message(body=b"{}"), r"value\.id: must be text"),
        (task(task_id="t" * 101), r"value\.task_id: longer than 100"),
        (task(action="a" * 51), r"value\.action: longer than 50"),
        (task(resource_id=5), r"value\.resource_id: must be text"),
        (Message(heads={}), "header event_id: missing"),
        (Message(heads={"event_id": b"7"}), "header event_id: not a UUIDv7"),
        (Message(heads={"event_id": None}), "header event_id: missing"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_the_reason(message: Message, reason: str) -> None:
    with pytest.raises(BadEventError, match=reason):
        to_record(message)


@pytest.mark.parametrize("version", [b"-1", b"0", b"1.5", b"", b"9" * 20, "\u0661".encode()])
def test_a_version_is_a_positive_whole_number(version: bytes) -> None:
    message = Message()
    message.heads["aggregate_version"] = version
    with pytest.raises(BadEventError, match="aggregate_version"):
        to_record(message)


def test_what_only_jsonb_refuses_is_left_to_the_database_however_deeply_it_is_nested() -> None:
    depth = 900
    body = b'{"id": "r-1", "a": ' + b"[" * depth + b'"\\u0000"' + b"]" * depth + b"}"
    assert to_record(Message(body=body)).payload == body.decode()

"""Which messages become rows, and which rows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from services.contracts.envelope import BadEventError
from services.contracts.ids import new_id
from services.contracts.topics import RESOURCE_CREATED, RESOURCE_DELETED, TASK_PROCESS
from services.event_worker.records import to_record

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


def task(**changes: Any) -> Message:
    payload = {"task_id": "t", "resource_id": "r-1", "action": "scan", "status": "s"} | changes
    return Message(name=TASK_PROCESS, body=json.dumps(payload).encode())


def test_the_verb_of_a_resource_event_is_its_action() -> None:
    message = Message(name=RESOURCE_DELETED)
    message.heads["aggregate_version"] = b"7"
    made = to_record(message)
    assert (made.id, made.action, made.resource_id, made.version) == (
        EVENT_ID, "deleted", "r-1", 7,
    )  # fmt: skip
    assert made.deletes


def test_a_task_keeps_its_own_action_and_has_no_place_in_the_order_of_its_resource() -> None:
    message = task()
    message.heads["aggregate_version"] = b"7"
    made = to_record(message)
    assert (made.task_id, made.action, made.version) == ("t", "scan", None)
    assert to_record(task(action=None)).action == "process"
    assert to_record(task(resource_id=None)).resource_id is None


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Message(the_key=None), "key: missing"),
        (Message(the_key=b"\xff"), "key: not UTF-8"),
        (Message(the_key=b"k" * 101), "key: longer than 100"),
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

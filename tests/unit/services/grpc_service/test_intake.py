"""What callers may ask for, and where the pages of an answer begin."""

from __future__ import annotations

import uuid

import pytest

from services.contracts.ids import new_id
from services.grpc_service.cursors import BadCursorError, Filters, decode, encode
from services.grpc_service.intake import InvalidTaskError, new_task
from services.grpc_service.model import Status
from services.shared.runtime.cursors import seal

REQUEST = "8e03978e-40d5-43dd-bc93-6894a57f9324"


def asked(**changes: object) -> tuple[object, ...]:
    values = {"resource_id": "r-1", "action": "digest", "given": "{}", "request_id": None}
    return tuple((values | changes).values())


def test_the_same_content_has_the_same_digest_however_it_is_written() -> None:
    first = new_task("r-1", "digest", '{"a": 1, "b": 2}', REQUEST, most_bytes=100)
    same = new_task("r-1", "digest", '{"b":2,"a":1}', str(uuid.uuid4()), most_bytes=100)
    assert first.input == same.input == '{"a":1,"b":2}'
    assert first.digest == same.digest
    others = [
        new_task(*values, None, most_bytes=100)
        for values in (
            ("r-2", "digest", first.input),
            ("r-1", "terms", first.input),
            ("r-1", "digest", "{}"),
        )
    ]
    assert len({first.digest, *(one.digest for one in others)}) == 4


@pytest.mark.parametrize("written", [REQUEST, REQUEST.upper()])
def test_a_request_id_is_a_uuid_of_either_case(written: str) -> None:
    assert new_task("r-1", "digest", "{}", written, most_bytes=2).request_id == REQUEST


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"resource_id": ""}, "resource_id"),
        ({"resource_id": "r" * 101}, "resource_id"),
        ({"resource_id": "r\0"}, "resource_id"),
        ({"resource_id": "\ud800"}, "resource_id"),
        ({"action": "deleted"}, "action"),
        ({"action": ""}, "action"),
        ({"given": "[]"}, "input"),
        ({"given": '{"a": "' + "\u00e4" * 47 + '"}'}, "input"),
        ({"given": '{"a": 1e999}'}, "input"),
        ({"request_id": ""}, "request_id"),
        ({"request_id": "{" + REQUEST + "}"}, "request_id"),
        ({"request_id": REQUEST.replace("-", "")}, "request_id"),
    ],
    ids=str,
)
def test_what_cannot_be_stored_is_refused_with_its_field(
    changes: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidTaskError, match=f"^{field}: ") as refused:
        new_task(*asked(**changes), most_bytes=100)  # type: ignore[arg-type]
    assert refused.value.field == field


FILTERS = Filters("r-1", Status.FAILED, "digest")
TASK = "01a20ab1-b7a9-74e8-aa7a-015b3c954d89"


def test_a_cursor_leads_back_to_its_task() -> None:
    task = new_id()
    assert decode(encode(task, FILTERS), FILTERS) == task


@pytest.mark.parametrize(
    "cursor",
    ["", "?", seal("nonsense"), seal(TASK), encode(TASK, Filters("r-1", Status.FAILED))],
)
def test_another_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursorError):
        decode(cursor, FILTERS)

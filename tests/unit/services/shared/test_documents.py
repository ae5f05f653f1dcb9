"""What a body may hold, without a server."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from services.contracts.ids import is_uuid7
from services.shared.documents import bodies
from services.shared.http.problem import ProblemError


@dataclass(frozen=True)
class Limits:
    max_documents: int = 3
    max_depth: int = 4


SETTINGS = Limits()


def read(body: object, key: str | None = None) -> list[tuple[str, Any]]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return [(id, json.loads(text)) for id, text in bodies.read(raw, key, SETTINGS)]


def refused(body: object, key: str | None = None) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        read(body, key)
    return caught.value


def test_an_object_is_one_document_and_an_array_a_batch_in_its_order() -> None:
    assert read({"id": "a", "n": 1}) == [("a", {"id": "a", "n": 1})]
    assert read([{"id": "b"}, {"id": "a"}]) == [("b", {"id": "b"}), ("a", {"id": "a"})]


def test_a_document_without_an_id_gets_one_and_carries_it() -> None:
    [(first, one), (second, other)] = read([{"n": 1}, {}])
    assert is_uuid7(first)
    assert is_uuid7(second)
    assert first != second
    assert (one, other) == ({"id": first, "n": 1}, {"id": second})


def test_an_idempotency_key_becomes_the_id_of_a_single_document() -> None:
    assert read({"n": 1}, "key") == [("key", {"id": "key", "n": 1})]
    assert read({"id": "key"}, "key") == [("key", {"id": "key"})]
    assert refused({"id": "other"}, "key").status == 400
    assert refused([{"n": 1}], "key").status == 400


def test_the_same_id_twice_in_a_batch_is_taken_twice() -> None:
    assert read([{"id": "a", "n": 1}, {"id": "a", "n": 2}]) == [
        ("a", {"id": "a", "n": 1}),
        ("a", {"id": "a", "n": 2}),
    ]


def test_numbers_keep_their_value_and_texts_their_characters() -> None:
    given = {"id": "ü🌊", "a": [2**70, -0.5, 1e300, True, None, "\\u0000", "\u2028"], "b": {"": {}}}
    assert read(given) == [("ü🌊", given)]
    [(_, text)] = bodies.read(json.dumps(given).encode(), None, SETTINGS)
    assert b" " not in text
    assert "🌊".encode() in text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"1", "body"),
        (b'"text"', "body"),
        (b"null", "body"),
        (b"[]", "body"),
        ([{}] * 4, "body"),
        ([{}, 1], "body.1"),
        ([{}, []], "body.1"),
        ({"id": None}, "body.id"),
        ({"id": 1}, "body.id"),
        ({"id": ""}, "body.id"),
        ({"id": "x" * 201}, "body.id"),
        ({"id": "a\nb"}, "body.id"),
        ({"id": "a\0b"}, "body.id"),
        ([{}, {"id": "\x7f"}], "body.1.id"),
        ({"a": "x\0"}, "body.a"),
        ({"a": [1, {"b": "\0"}]}, "body.a.1.b"),
        ({"a": {"x\0y": 1}}, "body.a"),
        (b'{"a": [1, 1e999]}', "body.a.1"),
        (b'{"a": -1e999}', "body.a"),
        (b'{"a": ' + b"9" * 400 + b"}", "body.a"),
        ({"a": [[[]]], "b": [[[[]]]]}, "body.b.0.0.0"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "body"),
    ],
)
def test_what_is_refused_is_named(body: object, field: str) -> None:
    error = refused(body)
    assert (error.status, [one.field for one in error.errors]) == (422, [field])


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"{} x", b'{"a":NaN}', b'{"a":"\xff"}', b'{"a":"\\ud800"}', "{}".encode("utf-16"),
     b'\xef\xbb\xbf{}', b'{"a":' + b"9" * 5000 + b"}", b"{'a':1}"],
)  # fmt: skip
def test_what_is_not_json_in_utf8_is_400(body: bytes) -> None:
    assert (refused(body).status, refused(body).kind) == (400, "malformed-body")


def test_a_refusal_stays_small_whatever_was_sent() -> None:
    many = refused({f"f{n}": "\0" for n in range(1000)})
    assert len(many.errors) == 20
    long = refused({"\ud83c\udf0a" * 5000: {"\n" * 5000: "\0"}})
    assert len(long.errors[0].field) < 300
    assert long.errors[0].field.isprintable()


@pytest.mark.parametrize(("text", "good"), [
    ("a", True), ("x" * 200, True), ("ü 🌊/%", True), ("", False), ("x" * 201, False),
    ("\0", False), ("a\tb", False), ("\ud800", False), ("\u2028", False), (1, False), (None, False),
])  # fmt: skip
def test_an_id_is_a_short_printable_text(text: object, good: bool) -> None:
    assert bodies.is_id(text) is good


def test_numbers_that_the_database_would_write_out_by_the_page_are_refused() -> None:
    assert read({"n": [1e308, 1e-300, 1e17, 0.1, 0.0] * 50})
    error = refused([{"n": 1}, {"deep": {"n": [1e308] * 300}}])
    assert error.status == 422
    [fault] = error.errors
    assert fault.field == "body.1"
    assert "written out" in fault.reason

"""What is taken of points, and how who sends something else is told."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.contracts.telemetry import TelemetryPoint
from services.ingest_service.telemetry.messages import messages
from services.ingest_service.telemetry.points import MediaType
from tests.unit.services.ingest_service.telemetry.bodies import (
    JSON,
    LINES,
    batch,
    ndjson,
    point,
    read,
    refused,
    with_value,
)

VALUES = {
    "NaN": "NaN",
    "Infinity": "Infinity",
    "minus Infinity": "-Infinity",
    "beyond doubles": "1e400",
    "an integer beyond doubles": "9" * 400,
    "true": "true",
    "a number in quotes": '"1"',
    "null": "null",
    "an array": "[1]",
    "an object": "{}",
}
TIMES = {
    "without an offset": "2026-11-22T21:00:00",
    "a date": "2026-11-22",
    "seconds since 1970": 1763845200,
    "seconds since 1970 in quotes": "1763845200",
    "before 1970": "1969-12-31T23:59:59.999999Z",
    "before 1970 in UTC": "1970-01-01T00:59:59+01:00",
    "after the year 9998": "9999-01-01T00:00:00Z",
    "no day": "2026-02-30T00:00:00Z",
    "no minute": "2026-11-22T21:60:00Z",
    "a leap second": "2016-12-31T23:59:60Z",
    "without seconds": "2026-11-22T21:00Z",
    "a blank before": " 2026-11-22T21:00:00Z",
    "a line break behind": "2026-11-22T21:00:00Z\n",
    "other scripts' digits": "٢٠٢٦-11-22T21:00:00Z",
    "nothing": "",
    "null": None,
}
NAMES = {
    "empty": "",
    "10,000 characters": "m" * 10_000,
    "a blank": "a b",
    "a line break behind": "a\n",
    "NUL": "a\0",
    "not ASCII": "é",
    "a quote": 'a"',
    "a backslash": "a\\",
    "a dash first": "-a",
    "a number": 5,
    "null": None,
}
FIELDS: list[tuple[str, str, bytes]] = [
    *(("value", name, with_value(text)) for name, text in VALUES.items()),
    *(("ts", name, json.dumps(point(ts=ts)).encode()) for name, ts in TIMES.items()),
    *(
        (field, name, json.dumps(point(**{field: text})).encode())
        for field in ("device_id", "metric")
        for name, text in NAMES.items()
    ),
    *((field, "missing", json.dumps(point(**{field: ...})).encode()) for field in point()),
    ("color", "unknown", json.dumps(point(color="red")).encode()),
]


@pytest.mark.parametrize(
    ("field", "body"), [case[::2] for case in FIELDS], ids=[f"{f}: {n}" for f, n, _ in FIELDS]
)
def test_a_bad_field_is_named_with_its_place_the_reason_and_the_way_out(
    field: str, body: bytes
) -> None:
    good = json.dumps(point()).encode()
    forms: dict[str, tuple[bytes, MediaType]] = {
        f"body.{field}": (body, JSON),
        f"body.points.1.{field}": (b'{"points":[' + good + b"," + body + b"]}", JSON),
        f"line.3.{field}": (good + b"\n\n" + body + b"\r\n" + good, LINES),
    }
    for place, (sent, media_type) in forms.items():
        problem = refused(sent, media_type)
        assert (problem.status, problem.kind) == (422, "invalid-point")
        [error] = problem.errors
        assert error.field == place
        assert 10 < len(error.reason) < 250
        assert error.reason.startswith(("must ", "is missing; must ", "is no field "))


def test_every_bad_point_is_named_up_to_twenty() -> None:
    bad: list[Any] = [point(value=None), point(), 7, point(ts="x", metric="")]
    assert [error.field for error in refused(batch(*bad)).errors] == [
        "body.points.0.value", "body.points.2", "body.points.3.metric", "body.points.3.ts",
    ]  # fmt: skip
    assert [error.field for error in refused(ndjson(*bad), LINES).errors] == [
        "line.1.value", "line.3", "line.4.metric", "line.4.ts",
    ]  # fmt: skip
    assert len(refused(batch(*[{}] * 500)).errors) == 20


@pytest.mark.parametrize("media_type", [JSON, LINES])
def test_a_time_ahead_of_the_clock_is_taken_up_to_the_limit(media_type: Any) -> None:
    def ahead(seconds: float) -> bytes:
        ts = datetime.now(UTC) + timedelta(seconds=seconds)
        return json.dumps(point(ts=ts.isoformat())).encode()

    [taken] = read(ahead(290), media_type)
    assert taken.ts > datetime.now(UTC) + timedelta(seconds=200)
    [error] = refused(ahead(310), media_type).errors
    assert "more than 300 s ahead" in error.reason
    read(ahead(310), media_type, future_seconds=600)


def test_a_body_has_one_to_so_many_points() -> None:
    assert len(read(batch(*[point()] * 500))) == 500
    assert len(read(ndjson(*[point()] * 500), LINES)) == 500
    cases: list[tuple[bytes, MediaType, str, str]] = [
        (batch(*[point()] * 501), JSON, "body.points", "has 501; send them in several"),
        (ndjson(*[point()] * 501), LINES, "body", "has 501; send them in several"),
        (batch(), JSON, "body.points", "has 0; send one"),
        (b"", LINES, "body", "has 0; send one"),
        (b"\n \r\n", LINES, "body", "has 0; send one"),
    ]
    for body, media_type, place, said in cases:
        [error] = refused(body, media_type).errors
        assert error.field == place
        assert said in error.reason
    assert len(read(batch(*[point()] * 7), most=7)) == 7
    assert refused(batch(*[point()] * 8), most=7).errors


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b'{"points":[', 400, None),
        (b'\xff{"points":[]}', 400, None),
        (b"[" * 1000, 400, None),
        (b"[]", 422, "body"),
        (b"5", 422, "body"),
        (b"null", 422, "body"),
        (b'{"points":{}}', 422, "body.points"),
        (b'{"points":null}', 422, "body.points"),
        (b'{"points":[[]]}', 422, "body.points.0"),
        (batch(point())[:-1] + b',"more":1}', 422, "body.more"),
    ],
)
def test_what_is_no_point_at_all_is_refused(body: bytes, status: int, field: str | None) -> None:
    problem = refused(body)
    assert problem.status == status
    assert [error.field for error in problem.errors] == ([field] if field else [])


def test_two_points_on_a_line_are_not_taken_for_two_lines() -> None:
    one = json.dumps(point()).encode()
    for body in (one + one, one + b"," + one, b"[" + one + b"]", one + b"],[" + one):
        [error] = refused(body + b"\n" + one, LINES).errors
        assert error.field == "line.1"


def test_however_much_is_wrong_little_is_said() -> None:
    for body in (
        b"{" + b",".join(b'"%d":1' % n for n in range(100_000)) + b"}",
        b'{"points":[' + b",".join([b"{}"] * 300_000) + b"]}",
        b'{"points":[{"' + b"x" * 500_000 + b'":1}]}',
        b'{"points":[{"value":[' + b",".join([b"[]"] * 300_000) + b"]}]}",
        b"{}\n" * 300_000,
        b"\n" * 1_000_000,
    ):
        for media_type in (JSON, LINES):
            problem = refused(body, media_type)
            assert len(problem.errors) <= 20
            assert len(problem.detail) + sum(len(e.field + e.reason) for e in problem.errors) < 9000


def test_a_name_written_with_escapes_is_the_same_name() -> None:
    assert len(read(batch(point(), point()).replace(b'"points"', b'"\\u0070oints"'))) == 2


@pytest.mark.parametrize(
    ("ts", "kept"),
    [
        ("2026-11-22T21:00:00Z", "2026-11-22T21:00:00.000000Z"),
        ("2026-11-22t21:00:00.1234569z", "2026-11-22T21:00:00.123456Z"),
        ("2026-11-22 23:30:00.5+02:30", "2026-11-22T21:00:00.500000Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
        ("1969-12-31T23:00:00-01:00", "1970-01-01T00:00:00.000000Z"),
    ],
)
def test_a_message_is_as_the_contract_has_it(ts: str, kept: str) -> None:
    names = {"device_id": "a._:@/-Z" + "9" * 56, "metric": "_m._:/-Z" + "9" * 92}
    points = read(batch(*(point(ts=ts, value=v, **names) for v in (1, -0.0, 5e-324, 1e308, 0.1))))
    made = messages(points, iter(range(7, 12)))
    for (key, value), sent, version in zip(made, points, range(7, 12), strict=True):
        assert key.decode() == names["device_id"]
        assert json.loads(value)["ts"] == kept
        assert json.loads(value).keys() == TelemetryPoint.model_fields.keys()
        found = TelemetryPoint.model_validate_json(value, strict=True)
        assert (found.value, found.version, found.ts) == (sent.value, version, sent.ts)
        assert repr(found.value) == repr(sent.value)

"""Points as load tests send, read and account for them."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from loadtests.exchange import Reply, RequestFailed
from loadtests.outcome import Outcome
from loadtests.telemetry import books
from loadtests.telemetry.client import Point, Telemetry, key_of
from loadtests.values import ValueLedger
from tests.unit.loadtests.answering import Answering

MOMENT = datetime(2026, 11, 22, 20, 0, 0, 250_000, UTC)
POINT = Point(device_id="run-d1", metric="temperature", ts=MOMENT, value=3)
OTHER = POINT.model_copy(update={"metric": "pressure"})


def telemetry(status: int, body: object) -> tuple[Telemetry, Answering]:
    transport = Answering(Reply(status, json.dumps(body).encode(), retry_after="2"))
    return Telemetry(transport), transport


def page(*points: Point) -> dict[str, object]:
    return {"items": [point.model_dump(mode="json") for point in points], "next_cursor": None}


def test_points_are_sent_in_one_request_as_an_object_or_as_lines():
    client, transport = telemetry(202, {"accepted": 2})
    client.write([POINT, OTHER])
    client.write([POINT, OTHER], lines=True)
    whole, lines = transport.requests
    assert (whole.name, whole.content_type) == ("POST /api/v1/telemetry", "application/json")
    sent = json.loads(whole.body or b"")["points"]
    assert lines.content_type == "application/x-ndjson"
    assert [json.loads(line) for line in (lines.body or b"").splitlines()] == sent
    assert sent[0] == {
        "device_id": "run-d1",
        "metric": "temperature",
        "ts": "2026-11-22T20:00:00.250000Z",
        "value": 3.0,
    }


def test_an_acknowledgement_of_another_number_of_points_is_none():
    client, _ = telemetry(202, {"accepted": 1})
    with pytest.raises(RequestFailed, match="another number") as failed:
        client.write([POINT, OTHER])
    assert failed.value.outcome is Outcome.UNKNOWN


def test_a_page_is_asked_for_by_device_and_counted_by_endpoint():
    client, transport = telemetry(200, page(OTHER, POINT))
    assert client.page("run-d1", limit=2, consistency="strong").items == [OTHER, POINT]
    (sent,) = transport.requests
    assert sent.name == "GET /api/v1/telemetry"
    assert sent.path == "/api/v1/telemetry?device_id=run-d1&limit=2&consistency=strong"


@pytest.mark.parametrize(
    ("points", "told"),
    [
        ((POINT.model_copy(update={"device_id": "run-d2"}),), "another device"),
        ((POINT, OTHER), "out of order"),
        ((POINT, POINT), "out of order"),
        ((OTHER, POINT, POINT.model_copy(update={"ts": MOMENT + timedelta(1)})), "more items"),
    ],
)
def test_a_page_that_is_not_what_was_asked_for_is_a_failure(points: tuple[Point, ...], told: str):
    client, _ = telemetry(200, page(*points))
    with pytest.raises(RequestFailed, match=told):
        client.page("run-d1", limit=2)


def test_a_points_key_is_its_row_in_the_table_in_utc():
    there = MOMENT.astimezone(timezone(timedelta(hours=2)))
    key = "run-d1\ttemperature\t2026-11-22 20:00:00.250000"
    assert key_of(POINT.model_copy(update={"ts": there})) == key
    assert list(books.rows(f"{key}\t3\n{key}\t0.5\n")) == [(key, 3.0), (key, 0.5)]


def test_of_one_key_twice_in_a_request_the_later_value_has_to_be_there():
    ledger = ValueLedger()
    newer = POINT.model_copy(update={"value": 4.0})
    books.note(ledger, [POINT, OTHER, newer], Outcome.ACKED)
    held = {key_of(OTHER): 3.0, key_of(newer): 4.0}
    assert ledger.check(held.items()).balanced
    held[key_of(newer)] = 3.0
    assert ledger.check(held.items()).stale == 1


def test_a_value_that_could_not_be_told_from_another_write_is_refused():
    with pytest.raises(ValueError, match="no whole number"):
        books.note(ValueLedger(), [POINT.model_copy(update={"value": 1.5})], Outcome.ACKED)

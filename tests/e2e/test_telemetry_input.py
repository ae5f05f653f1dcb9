"""Points that are none: refused with a reason at the entry, set aside with a reason behind it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests.over_httpx import http_client
from loadtests.telemetry.books import DATABASE, SERVER
from loadtests.telemetry.client import ENTRY, NDJSON, PATH
from services.contracts.topics import TELEMETRY_DEAD_LETTER, TELEMETRY_POINTS
from tests.e2e import topics
from tests.e2e.cluster import patiently, wait_for
from tests.e2e.conftest import Say
from tests.e2e.test_events import log_lines

JSON = "application/json"
NOW = datetime.now(UTC)
POINT = {"device_id": "e2e-input", "metric": "level", "ts": NOW.isoformat(), "value": 1.5}


def but(**changed: object) -> bytes:
    """A point that is not quite right. NaN and Infinity are written as Python writes them."""
    return json.dumps(POINT | changed).encode()


BAD: dict[str, tuple[bytes, str, int, str]] = {
    "NaN": (but(value=float("nan")), JSON, 422, "value"),
    "infinity": (but(value=float("inf")), JSON, 422, "value"),
    "a-number-beyond-doubles": (but().replace(b"1.5", b"1e999"), JSON, 422, "value"),
    "a-text-as-value": (but(value="1.5"), JSON, 422, "value"),
    "true-as-value": (but(value=True), JSON, 422, "value"),
    "no-value": (json.dumps({k: v for k, v in POINT.items() if k != "value"}).encode(), JSON, 422,
                 "value"),
    "a-far-future-time": (but(ts=(NOW + timedelta(days=365)).isoformat()), JSON, 422, "ts"),
    "a-time-without-offset": (but(ts="2026-11-22T20:00:00"), JSON, 422, "ts"),
    "a-metric-of-10000-characters": (but(metric="m" * 10_000), JSON, 422, "metric"),
    "no-device": (but(device_id=""), JSON, 422, "device_id"),
    "a-device-with-NUL": (but(device_id="a\0b"), JSON, 422, "device_id"),
    "an-unknown-field": (but(version=7), JSON, 422, "version"),
    "no-points": (b'{"points": []}', JSON, 422, "points"),
    "501-points": (json.dumps({"points": [POINT] * 501}).encode(), JSON, 422, "points"),
    "501-lines": (b"\n".join([but()] * 501), NDJSON, 422, "500"),
    "a-line-that-is-no-JSON": (but() + b"\n{", NDJSON, 422, "line.2"),
    "no-JSON": (b'{"points": [', JSON, 400, "JSON"),
    "another-media-type": (b"level,1.5", "text/csv", 415, "json"),
    "a-huge-body": (b'{"points": ["' + b"x" * 3_000_000 + b'"]}', JSON, 413, "larger"),
}  # fmt: skip

QUERIES = {
    "no-device": {"metric": "level"},
    "a-limit-of-zero": {"device_id": "e2e-input", "limit": "0"},
    "a-cursor-of-nobody": {"device_id": "e2e-input", "cursor": "zzz"},
    "another-consistency": {"device_id": "e2e-input", "consistency": "quick"},
    "an-unknown-parameter": {"device_id": "e2e-input", "sort": "ts"},
    "SQL": {"device_id": "' OR 1=1 --"},
}


@pytest.fixture(scope="module")
def ingest(checkout: Checkout, registered: object) -> Iterator[httpx.Client]:
    with http_client(checkout, ENTRY) as client:
        yield client


def is_a_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["type"].startswith("urn:millrace:problem:")
    assert len(answer.text) < 20_000, "the rejected input was sent back"
    return problem


@pytest.mark.parametrize(("body", "media", "status", "word"), BAD.values(), ids=BAD)
def test_bad_points_are_refused_with_a_problem_document(
    ingest: httpx.Client, body: bytes, media: str, status: int, word: str
) -> None:
    answer = ingest.post(PATH, content=body, headers={"Content-Type": media})
    problem = is_a_problem(answer, status)
    assert word in json.dumps(problem)


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_bad_queries_are_refused_with_a_problem_document(
    ingest: httpx.Client, query: dict[str, str]
) -> None:
    is_a_problem(ingest.get(PATH, params=query), 422)


def test_of_a_request_with_one_bad_point_none_is_stored(
    ingest: httpx.Client, kube: Kube, prefix: str
) -> None:
    good = POINT | {"device_id": prefix}
    body = {"points": [good] * 250 + [good | {"value": "x"}] + [good] * 249}
    problem = is_a_problem(ingest.post(PATH, json=body), 422)
    assert "250" in json.dumps(problem), "it does not say which one"
    later = good | {"metric": "later"}
    assert patiently(lambda: ingest.post(PATH, json=later)).json() == {"accepted": 1}
    stored = f"SELECT metric FROM telemetry WHERE device_id = '{prefix}'"
    found = wait_for("the one sent later", lambda: kube.mysql(DATABASE, stored, server=SERVER),
                     seconds=120)  # fmt: skip
    assert found.split() == ["later"]


def test_a_device_that_nobody_knows_has_an_empty_page(ingest: httpx.Client, prefix: str) -> None:
    for path in (PATH, f"{PATH}/rollups"):
        asked = {"device_id": prefix}
        answer = patiently(lambda path=path, asked=asked: ingest.get(path, params=asked))
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"items": [], "next_cursor": None}


@pytest.mark.timeout(600)
def test_poison_in_the_topic_is_set_aside_with_its_reason_and_stops_nobody(
    kube: Kube, prefix: str, say: Say
) -> None:
    """Put there past the entry, among points that are good, on the same key."""
    good = {"device_id": prefix, "ts": "2026-11-22T20:00:00.000000Z", "value": 1.0, "version": 1}
    poison = (
        ("{", "JSON"),
        (json.dumps({**good, "metric": "m" * 200}), "metric"),
        (json.dumps({**good, "metric": "level", "value": "much"}), "value"),
        (json.dumps({**good, "metric": "level", "ts": "9999-12-31T23:59:59-23:00"}), "ts"),
        (json.dumps({**good, "metric": "level", "device_id": f"{prefix}-other"}), "key"),
    )
    messages = [
        (prefix, value)
        for number, (bad, _) in enumerate(poison)
        for value in (bad, json.dumps({**good, "metric": f"good-{number}"}))
    ]
    topics.put(kube, TELEMETRY_POINTS, messages)
    count = f"SELECT COUNT(*) FROM telemetry WHERE device_id = '{prefix}'"
    wait_for(
        "the good ones to be stored",
        lambda: int(kube.mysql(DATABASE, count, server=SERVER)) == len(poison),
        seconds=120,
    )
    by_value: dict[str, dict[str, str]] = {}

    def all_set_aside() -> bool:
        # They are sent after the good ones are stored, and a repeat may have sent some twice.
        letters = topics.read(kube, TELEMETRY_DEAD_LETTER)
        by_value.update({one["value"]: one for one in letters if one["key"] == prefix})
        return set(by_value) == {bad for bad, _ in poison}

    # Each look starts Java twice.
    wait_for("the others to be set aside", all_set_aside, seconds=180)
    for bad, word in poison:
        letter = by_value[bad]
        assert letter["dead_letter_topic"] == TELEMETRY_POINTS
        assert word in letter["dead_letter_reason"], letter
        say(f"set aside: {letter['dead_letter_reason']}")

    def all_logged() -> bool:
        told = [line for line in log_lines(kube, "async-writer") if '"dead_letter"' in line]
        return len(told) >= len(poison)

    wait_for("a line of the log for each", all_logged, seconds=60)

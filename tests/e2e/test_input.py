"""Bad input through the published port: always a 4xx problem document, never a 500."""

import json
from typing import Any

import httpx
import pytest

from loadtests.traffic import RESOURCES

JSON = {"Content-Type": "application/json"}
UNKNOWN = f"{RESOURCES}/01a1fb67-1800-7000-8000-000000000000"

# name, method, path, body, headers, expected status, a word the answer must hold
BAD: tuple[tuple[str, str, str, Any, dict[str, str], int, str], ...] = (
    ("no body", "POST", RESOURCES, b"", JSON, 422, "body"),
    ("not JSON", "POST", RESOURCES, b'{"name": ', JSON, 400, "JSON"),
    ("not UTF-8", "POST", RESOURCES, b'{"name": "\xff\xfe"}', JSON, 400, "JSON"),
    ("an array", "POST", RESOURCES, b"[]", JSON, 422, "body"),
    ("null", "POST", RESOURCES, b"null", JSON, 422, "body"),
    ("deep nesting", "POST", RESOURCES, b"[" * 100_000, JSON, 400, "JSON"),
    ("no name", "POST", RESOURCES, {}, JSON, 422, "body.name"),
    ("empty name", "POST", RESOURCES, {"name": ""}, JSON, 422, "body.name"),
    ("a number as name", "POST", RESOURCES, {"name": 7}, JSON, 422, "body.name"),
    ("an over-long name", "POST", RESOURCES, {"name": "x" * 256}, JSON, 422, "body.name"),
    ("NUL in the name", "POST", RESOURCES, {"name": "a\0b"}, JSON, 422, "body.name"),
    ("a lone surrogate", "POST", RESOURCES, b'{"name": "\\ud800"}', JSON, 422, "body"),
    ("an over-long description", "POST", RESOURCES,
     {"name": "x", "description": "x" * 10_001}, JSON, 422, "body.description"),
    ("an unknown field", "POST", RESOURCES, {"name": "x", "colour": 1}, JSON, 422, "body.colour"),
    ("an unknown status", "POST", RESOURCES, {"name": "x", "status": "gone"}, JSON, 422, "status"),
    ("an id of the client's", "POST", RESOURCES, {"name": "x", "id": "1"}, JSON, 422, "body.id"),
    ("another media type", "POST", RESOURCES, b"name=x",
     {"Content-Type": "application/x-www-form-urlencoded"}, 415, "application/json"),
    ("a huge body", "POST", RESOURCES, b'{"name": "' + b"x" * 2_000_000 + b'"}', JSON, 413,
     "larger"),
    ("a bad id", "GET", f"{RESOURCES}/1", None, {}, 422, "resource_id"),
    ("an SQL id", "GET", f"{RESOURCES}/'%20OR%201=1--", None, {}, 422, "resource_id"),
    ("an over-long id", "GET", f"{RESOURCES}/{'a' * 2000}", None, {}, 422, "resource_id"),
    ("NUL in the id", "GET", f"{RESOURCES}/%00", None, {}, 422, "resource_id"),
    ("an id nobody has", "GET", UNKNOWN, None, {}, 404, "id"),
    ("update of nothing", "PUT", UNKNOWN, {"name": "x"}, JSON, 404, "id"),
    ("delete of nothing", "DELETE", UNKNOWN, None, {}, 404, "id"),
    ("a bad If-Match", "DELETE", UNKNOWN, None, {"If-Match": "W/x"}, 400, "If-Match"),
    ("limit zero", "GET", f"{RESOURCES}?limit=0", None, {}, 422, "limit"),
    ("limit beyond bounds", "GET", f"{RESOURCES}?limit=100000", None, {}, 422, "limit"),
    ("limit as a word", "GET", f"{RESOURCES}?limit=all", None, {}, 422, "limit"),
    ("a bad cursor", "GET", f"{RESOURCES}?cursor=%00%ff", None, {}, 422, "cursor"),
    ("an unknown parameter", "GET", f"{RESOURCES}?sort=name", None, {}, 422, "sort"),
    ("an unknown path", "GET", "/api/v2/resources", None, {}, 404, "path"),
    ("an unknown method", "PATCH", UNKNOWN, None, {}, 405, "method"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "word"),
    [case[1:] for case in BAD],
    ids=[case[0].replace(" ", "-") for case in BAD],
)
def test_bad_input_gets_a_problem_document(
    http: httpx.Client,
    method: str,
    path: str,
    body: Any,
    headers: dict[str, str],
    status: int,
    word: str,
) -> None:
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    answer = http.request(method, path, content=content, headers=headers)
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:millrace:problem:")
    assert problem["title"]
    assert problem["correlation_id"] == answer.headers["X-Correlation-ID"]
    assert word in answer.text
    assert len(answer.text) < 4000, "the rejected input was sent back"


def test_text_of_every_script_survives_the_round_trip(http: httpx.Client, prefix: str) -> None:
    name = f"{prefix} Ünïcödé 漢字 🙂 \u200f'\"\\; DROP TABLE resources; -- %s {{}}"
    created = http.post(RESOURCES, json={"name": name})
    assert created.status_code == 201
    path = created.headers["Location"]
    assert http.get(path).json()["name"] == name
    assert http.get(path).json()["name"] == name, "from the cache"
    assert http.delete(path).status_code == 204


def test_a_name_of_exactly_255_characters_is_taken(http: httpx.Client) -> None:
    created = http.post(RESOURCES, json={"name": "漢" * 255})
    assert created.status_code == 201
    assert http.delete(created.headers["Location"]).status_code == 204


def test_a_callers_correlation_id_comes_back_and_a_harmful_one_is_replaced(
    http: httpx.Client,
) -> None:
    given = "e2e.Caller:42_x-1"
    assert http.get("/health", headers={"X-Correlation-ID": given}).headers[
        "X-Correlation-ID"
    ] == given  # fmt: skip
    for harmful in ("a b", "x" * 500, '"},{"evil":"', ""):
        back = http.get("/health", headers={"X-Correlation-ID": harmful}).headers
        assert back["X-Correlation-ID"] not in (harmful, "")

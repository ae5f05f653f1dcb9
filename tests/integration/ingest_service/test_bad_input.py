"""Whatever a client sends, the answer is a 4xx problem and nothing is accepted."""

import json
import random
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from redis.asyncio import Redis

from services.shared.runtime.settings import DatabaseSettings
from services.shared.stream import names
from tests.integration.ingest_service.conftest import PATH, Ingest
from tests.integration.ingest_service.writing import write

JSON = {"content-type": "application/json"}


def assert_problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == status
    assert document["type"].startswith("urn:millrace:problem:")
    assert document["detail"]
    assert document["correlation_id"] == response.headers["x-correlation-id"]
    return document


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


BODIES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, ""),
    "not JSON": (b"{", 400, ""),
    "trailing text": (b'{"a":1} x', 400, ""),
    "NaN": (b'{"a":NaN}', 400, ""),
    "not UTF-8": (b'{"a":"\xff\xfe"}', 400, ""),
    "UTF-16": ('{"a":5}'.encode("utf-16"), 400, ""),
    "a lone surrogate": (b'{"a":"\\ud800"}', 400, ""),
    "a number of 10 000 digits": (b'{"a":' + b"9" * 10_000 + b"}", 400, ""),
    "a string": (b'"a"', 422, "body"),
    "null": (b"null", 422, "body"),
    "an empty batch": (b"[]", 422, "body"),
    "too large a batch": (b"[" + b",".join([b"{}"] * 501) + b"]", 422, "body"),
    "a batch in a batch": (b"[{},[]]", 422, "body.1"),
    "an id that is a number": (b'{"id":1}', 422, "body.id"),
    "an empty id": (b'[{},{"id":""}]', 422, "body.1.id"),
    "an id too long": (json.dumps({"id": "i" * 201}).encode(), 422, "body.id"),
    "an id with NUL": (b'{"id":"\\u0000"}', 422, "body.id"),
    "an id with a line break": (b'{"id":"a\\n"}', 422, "body.id"),
    "NUL in a text": (b'{"a":{"b":["x\\u0000"]}}', 422, "body.a.b.0"),
    "NUL in a name": (b'{"a":{"\\u0000":1}}', 422, "body.a"),
    "a number beyond doubles": (b'{"a":[1,-1e999]}', 422, "body.a.1"),
    "an integer beyond doubles": (b'{"a":' + b"9" * 400 + b"}", 422, "body.a"),
    "nested too deep": (nested(33), 422, "body.a" + ".0" * 31),
    "nested far too deep": (nested(100_000), 422, "body"),
    "too large": (b'{"a":"' + b"x" * 2**20 + b'"}', 413, ""),
}


@pytest.mark.parametrize("case", list(BODIES))
async def test_a_bad_body_is_a_4xx_problem_that_names_the_field(
    ingest: Ingest, stream: Redis, case: str
) -> None:
    body, status, field = BODIES[case]
    response = await ingest.http.post(PATH, content=body, headers=JSON)
    document = assert_problem(response, status)
    assert len(response.content) < 10_000
    assert [error["field"] for error in document.get("errors", [])] == ([field] if field else [])
    assert await stream.xlen(names.STREAM) == 0


async def test_what_is_just_within_the_limits_is_accepted_and_stored(
    ingest: Ingest, stream: Redis, datadb: DatabaseSettings
) -> None:
    documents = [
        json.loads(nested(32)),
        {"id": "🌊" * 200},
        {"id": "a/b?c#d%2F", "": {"": ""}},
        {"a": [10**308, -(2**70), 5e-324, -2.5, "\\u0000", "\x01\u2028"]},
        {},
    ]
    ids = await ingest.accept(documents)
    await ingest.accept([{}] * 500)
    await write(stream, datadb)
    for id, document in zip(ids, documents, strict=True):
        response = await ingest.http.get(f"{PATH}/{quote(id, safe='')}")
        assert response.json() == {"id": id, **document}


REQUESTS: dict[str, tuple[str, str, dict[str, str], int]] = {
    "an id with NUL": ("GET", f"{PATH}/%00", {}, 404),
    "an id that is not UTF-8": ("GET", f"{PATH}/%ff%fe", {}, 404),
    "an id too long": ("GET", f"{PATH}/{'a' * 5000}", {}, 404),
    "an id with a line break": ("GET", f"{PATH}/a%0a", {}, 404),
    "no id": ("GET", f"{PATH}/", {}, 404),
    "an unknown path": ("GET", "/api/things", {}, 404),
    "a method the path lacks": ("PATCH", PATH, {}, 405),
    "limit zero": ("GET", f"{PATH}?limit=0", {}, 422),
    "limit too big": ("GET", f"{PATH}?limit=201", {}, 422),
    "a cursor that is no cursor": ("GET", f"{PATH}?cursor=abc", {}, 422),
    "a cursor beyond all time": ("GET", f"{PATH}?cursor=OTk5OTk5OTk5OTk5OTk5OTk5OSBh", {}, 422),
    "an unknown parameter": ("GET", f"{PATH}?offset=1", {}, 422),
    "an empty key": ("POST", PATH, JSON | {"idempotency-key": ""}, 400),
    "a key with a quote": ("POST", PATH, JSON | {"idempotency-key": 'a"b'}, 400),
    "a key too long": ("POST", PATH, JSON | {"idempotency-key": "x" * 201}, 400),
    "another key than the id": ("POST", PATH, JSON | {"idempotency-key": "other"}, 400),
    "not declared as JSON": ("POST", PATH, {"content-type": "text/plain"}, 415),
    "not declared": ("POST", PATH, {}, 415),
}


@pytest.mark.parametrize("case", list(REQUESTS))
async def test_a_bad_request_is_a_4xx_problem(ingest: Ingest, stream: Redis, case: str) -> None:
    method, path, headers, status = REQUESTS[case]
    body = b'{"id":"mine"}' if method == "POST" else None
    assert_problem(await ingest.http.request(method, path, headers=headers, content=body), status)
    assert await stream.xlen(names.STREAM) == 0


async def test_a_cursor_of_far_away_is_none_that_the_database_minds(ingest: Ingest) -> None:
    response = await ingest.http.get(f"{PATH}?cursor=OTk5OTk5OTk5OTk5OTk5OTkgYQ")
    assert response.json() == {"items": [], "next_cursor": None}


async def test_a_key_on_a_batch_is_refused(ingest: Ingest) -> None:
    response = await ingest.http.post(PATH, json=[{}], headers={"idempotency-key": "a"})
    assert_problem(response, 400)


async def test_random_input_never_makes_a_500_and_what_is_accepted_can_be_stored(
    ingest: Ingest, stream: Redis, datadb: DatabaseSettings
) -> None:
    """600 requests from a fixed seed: mutated bodies."""
    source = random.Random(20261121)
    pieces = ["", "a", "\0", "\ud800", "🌊", "n" * 256, "{", '"', "\\", "\u2028", "1e999"]

    def text() -> str:
        return "".join(source.choice(pieces) for _ in range(source.randint(0, 4)))

    def value(depth: int = 0) -> Any:
        kind = source.randint(0, 7 if depth < 3 else 5)
        if kind == 6:
            return [value(depth + 1) for _ in range(source.randint(0, 3))]
        if kind == 7:
            return {text(): value(depth + 1) for _ in range(source.randint(0, 3))}
        return [None, True, source.randint(-(2**70), 2**70), 1e300, text(), -0.0][kind]

    accepted = 0
    for _ in range(600):
        document: Any = {text(): value() for _ in range(source.randint(0, 3))}
        if source.random() < 0.3:
            document = [document, {"id": text()}]
        body = bytearray(json.dumps(document).encode())
        for _ in range(source.choice([0, 0, 0, 1, 3])):
            body[source.randrange(len(body))] = source.randrange(256)
        response = await ingest.http.post(PATH, content=bytes(body), headers=JSON)
        assert response.status_code < 500, (bytes(body), response.text)
        accepted += len(response.json()["ids"]) if response.status_code == 202 else 0
    assert accepted > 50
    assert await stream.xlen(names.STREAM) == accepted
    await write(stream, datadb)

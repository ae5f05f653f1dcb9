"""Whatever a client sends to /data, the answer is a 4xx problem and nothing is stored."""

import json
import random
from typing import Any

import httpx
import pytest

from tests.integration.rest_service.conftest import Rest
from tests.integration.rest_service.test_bad_input import assert_problem

DATA = "/data"
JSON = {"content-type": "application/json"}


async def count(rest: Rest) -> int:
    """How many documents there are, page by page."""
    total, cursor = 0, ""
    while True:
        url = f"{DATA}?limit=200" + (f"&cursor={cursor}" if cursor else "")
        page = (await rest.http.get(url)).json()
        total += len(page["items"])
        cursor = page["next_cursor"]
        if cursor is None:
            return total


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


BODIES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, ""),
    "not UTF-8": (b'{"a":"\xff\xfe"}', 400, ""),
    "a lone surrogate": (b'{"a":"\\ud800"}', 400, ""),
    "null": (b"null", 422, "body"),
    "an empty batch": (b"[]", 422, "body"),
    "too large a batch": (b"[" + b",".join([b"{}"] * 501) + b"]", 422, "body"),
    "one bad among good": (b'[{"id":"a"},{"id":1}]', 422, "body.1.id"),
    "an id too long": (json.dumps({"id": "i" * 201}).encode(), 422, "body.id"),
    "NUL in a text": (b'{"a":{"b":["x\\u0000"]}}', 422, "body.a.b.0"),
    "NUL in a name": (b'{"a":{"\\u0000":1}}', 422, "body.a"),
    "a number beyond doubles": (b'{"a":[1,-1e999]}', 422, "body.a.1"),
    "nested too deep": (nested(33), 422, "body.a" + ".0" * 31),
    "nested far too deep": (nested(100_000), 422, "body"),
    "too large": (b'{"a":"' + b"x" * 2**20 + b'"}', 413, ""),
}


@pytest.mark.parametrize("case", list(BODIES))
async def test_a_bad_body_is_a_4xx_problem_that_names_the_field(rest: Rest, case: str) -> None:
    body, status, field = BODIES[case]
    response = await rest.http.post(DATA, content=body, headers=JSON)
    assert_problem(response, status)
    assert len(response.content) < 10_000
    named = [error["field"] for error in response.json().get("errors", [])]
    assert named == ([field] if field else [])
    assert await count(rest) == 0


async def test_what_is_just_within_the_limits_is_stored(rest: Rest) -> None:
    large = {"id": "large", "text": "x" * (2**20 - 100)}
    for given in (json.loads(nested(32)), [{}] * 500, {"id": "🌊" * 200}, large):
        await rest.store(given)
    assert await rest.document("large") == large
    assert await count(rest) == 503


REQUESTS: dict[str, tuple[str, str, dict[str, str], int]] = {
    "an id with NUL": ("GET", f"{DATA}/%00", {}, 404),
    "an id that is not UTF-8": ("GET", f"{DATA}/%ff%fe", {}, 404),
    "an id too long": ("GET", f"{DATA}/{'a' * 5000}", {}, 404),
    "no id": ("GET", f"{DATA}/", {}, 404),
    "a method the path lacks": ("PATCH", DATA, {}, 405),
    "limit too big": ("GET", f"{DATA}?limit=201", {}, 422),
    "a cursor that is no cursor": ("GET", f"{DATA}?cursor=abc", {}, 422),
    "an unknown parameter": ("GET", f"{DATA}?offset=1", {}, 422),
    "a key with a quote": ("POST", DATA, JSON | {"idempotency-key": 'a"b'}, 400),
    "another key than the id": ("POST", DATA, JSON | {"idempotency-key": "other"}, 400),
    "not declared as JSON": ("POST", DATA, {"content-type": "text/plain"}, 415),
}


@pytest.mark.parametrize("case", list(REQUESTS))
async def test_a_bad_request_is_a_4xx_problem(rest: Rest, case: str) -> None:
    method, path, headers, status = REQUESTS[case]
    body = b'{"id":"mine"}' if method == "POST" else None
    response: httpx.Response = await rest.http.request(method, path, headers=headers, content=body)
    assert_problem(response, status)
    assert await count(rest) == 0


async def test_random_input_never_makes_a_500_and_what_is_stored_was_accepted(rest: Rest) -> None:
    """300 requests from a fixed seed: mutated bodies."""
    source = random.Random(20261121)
    pieces = ["", "a", "\0", "\ud800", "🌊", "{", '"', "\\", "\u2028", "1e999"]

    def text() -> str:
        return "".join(source.choice(pieces) for _ in range(source.randint(0, 4)))

    accepted: set[str] = set()
    for _ in range(300):
        value = source.choice([None, source.randint(-(2**70), 2**70), 1e300, text(), [text()]])
        document: Any = [{text(): value}, {"id": text()}] if source.random() < 0.5 else {"a": value}
        body = bytearray(json.dumps(document).encode())
        for _ in range(source.choice([0, 0, 0, 1, 3])):
            body[source.randrange(len(body))] = source.randrange(256)
        response = await rest.http.post(DATA, content=bytes(body), headers=JSON)
        assert response.status_code < 500, (bytes(body), response.text)
        accepted |= set(response.json()["ids"]) if response.status_code == 201 else set()
    assert len(accepted) > 25
    assert await count(rest) == len(accepted)

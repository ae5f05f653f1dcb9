"""What a client may send wrongly to those who take documents, the same for each of them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import httpx

JSON = {"content-type": "application/json"}


def assert_problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == status
    assert document["type"].startswith("urn:millrace:problem:")
    assert document["title"]
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
"""Body, status of the answer, and the field that it names."""

REQUESTS: dict[str, tuple[str, str, dict[str, str], int]] = {
    "an id with NUL": ("GET", "/%00", {}, 404),
    "an id that is not UTF-8": ("GET", "/%ff%fe", {}, 404),
    "an id too long": ("GET", "/" + "a" * 5000, {}, 404),
    "an id with a line break": ("GET", "/a%0a", {}, 404),
    "no id": ("GET", "/", {}, 404),
    "a method the path lacks": ("PATCH", "", {}, 405),
    "limit zero": ("GET", "?limit=0", {}, 422),
    "limit too big": ("GET", "?limit=201", {}, 422),
    "a cursor that is no cursor": ("GET", "?cursor=abc", {}, 422),
    "a cursor beyond all time": ("GET", "?cursor=OTk5OTk5OTk5OTk5OTk5OTk5OSBh", {}, 422),
    "an unknown parameter": ("GET", "?offset=1", {}, 422),
    "an empty key": ("POST", "", JSON | {"idempotency-key": ""}, 400),
    "a key with a quote": ("POST", "", JSON | {"idempotency-key": 'a"b'}, 400),
    "a key too long": ("POST", "", JSON | {"idempotency-key": "x" * 201}, 400),
    "another key than the id": ("POST", "", JSON | {"idempotency-key": "other"}, 400),
    "not declared as JSON": ("POST", "", {"content-type": "text/plain"}, 415),
    "not declared": ("POST", "", {}, 415),
}
"""Method, what follows the path, headers, and status of the answer."""


def mutated(seed: int, count: int) -> Iterator[bytes]:
    """Bodies, the same ones for a seed."""
    source = random.Random(seed)
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

    for _ in range(count):
        document: Any = {text(): value() for _ in range(source.randint(0, 3))}
        if source.random() < 0.3:
            document = [document, {"id": text()}]
        body = bytearray(json.dumps(document).encode())
        for _ in range(source.choice([0, 0, 0, 1, 3])):
            body[source.randrange(len(body))] = source.randrange(256)
        yield bytes(body)

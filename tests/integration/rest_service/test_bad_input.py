"""Whatever a client sends, the answer is a 4xx problem and nothing is stored."""

import json
import random
import string
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.integration.document_input import assert_problem
from tests.integration.rest_service.conftest import PATH, Process, Rest

JSON = {"content-type": "application/json"}
SOME_ID = "01a1fb67-1800-7000-8000-000000000000"


BODIES: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 422),
    "not JSON": (b"{", 400),
    "trailing text": (b'{"name":"a"} x', 400),
    "NaN": (b'{"name":NaN}', 422),
    "not UTF-8": (b'{"name":"\xff\xfe"}', 400),
    "UTF-16": ('{"name":5}'.encode("utf-16"), 422),
    "an array": (b"[]", 422),
    "a string": (b'"name"', 422),
    "null": (b"null", 422),
    "no name": (b"{}", 422),
    "name null": (b'{"name":null}', 422),
    "name empty": (b'{"name":""}', 422),
    "name a number": (b'{"name":1}', 422),
    "name an object": (b'{"name":{"a":1}}', 422),
    "name too long": (json.dumps({"name": "n" * 256}).encode(), 422),
    "name too long in astral characters": (json.dumps({"name": "🌊" * 256}).encode(), 422),
    "description too long": (json.dumps({"name": "a", "description": "d" * 10_001}).encode(), 422),
    "NUL in name": (b'{"name":"a\\u0000b"}', 422),
    "NUL in description": (b'{"name":"a","description":"\\u0000"}', 422),
    "lone surrogate in name": (b'{"name":"\\ud800"}', 422),
    "lone surrogate in description": (b'{"name":"a","description":"\\udfff"}', 422),
    "lone surrogate as a field": (b'{"name":"a","\\ud800":1}', 422),
    "NUL as a field": (b'{"name":"a","\\u0000":1}', 422),
    "unknown field": (b'{"name":"a","colour":"red"}', 422),
    "server's field": (b'{"name":"a","id":"x"}', 422),
    "unknown status": (b'{"name":"a","status":"broken"}', 422),
    "status deleted": (b'{"name":"a","status":"deleted"}', 422),
    "huge number": (b'{"name":' + b"9" * 10_000 + b"}", 400),
    "deep nesting": (b'{"name":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    "thousands of unknown fields": (
        json.dumps({"name": "a"} | {f"f{n}": n for n in range(5000)}).encode(),
        422,
    ),
    "huge": (b'{"name":"' + b"n" * 300_000 + b'"}', 413),
}


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("case", list(BODIES))
async def test_a_bad_body_is_a_4xx_problem(rest: Rest, method: str, case: str) -> None:
    body, status = BODIES[case]
    path = PATH if method == "POST" else f"{PATH}/{SOME_ID}"
    response = await rest.http.request(method, path, content=body, headers=JSON)
    document = assert_problem(response, status)
    assert len(response.content) < 10_000
    if status == 422:
        assert document["errors"]
        assert document["errors"][0]["field"].startswith("body")


REQUESTS: dict[str, tuple[str, str, dict[str, str], int]] = {
    "an id that is no UUID": ("GET", f"{PATH}/1", {}, 422),
    "a UUIDv4": ("GET", f"{PATH}/9b2f34f1-8b0f-4785-bab9-ff3451280004", {}, 422),
    "an upper-case id": ("GET", f"{PATH}/{SOME_ID.upper()}", {}, 422),
    "an id with NUL": ("GET", f"{PATH}/%00", {}, 422),
    "an id that is not UTF-8": ("DELETE", f"{PATH}/%ff%fe", {}, 422),
    "an over-long id": ("DELETE", f"{PATH}/{'a' * 5000}", {}, 422),
    "an id with a line break": ("GET", f"{PATH}/{SOME_ID}%0a", {}, 422),
    "an unknown path": ("GET", "/api/v1/things", {}, 404),
    "an unknown version": ("GET", "/api/v2/resources", {}, 404),
    "a method the path lacks": ("PATCH", PATH, {}, 405),
    "a method nobody has": ("BREW", PATH, {}, 405),
    "limit zero": ("GET", f"{PATH}?limit=0", {}, 422),
    "limit too big": ("GET", f"{PATH}?limit=201", {}, 422),
    "limit no number": ("GET", f"{PATH}?limit=many", {}, 422),
    "limit beyond bigint": ("GET", f"{PATH}?limit=99999999999999999999999", {}, 422),
    "a cursor that is no cursor": ("GET", f"{PATH}?cursor=abc", {}, 422),
    "an empty cursor": ("GET", f"{PATH}?cursor=", {}, 422),
    "a cursor with NUL": ("GET", f"{PATH}?cursor=AAAA", {}, 422),
    "a cursor not in ASCII": ("GET", f"{PATH}?cursor=%c3%a9", {}, 422),
    "an unknown parameter": ("GET", f"{PATH}?offset=1", {}, 422),
    "If-Match that is no ETag": ("DELETE", f"{PATH}/{SOME_ID}", {"if-match": "1"}, 400),
    "a weak If-Match": ("DELETE", f"{PATH}/{SOME_ID}", {"if-match": 'W/"1"'}, 400),
    "If-Match beyond bigint": ("DELETE", f"{PATH}/{SOME_ID}", {"if-match": f'"{9**30}"'}, 400),
}


@pytest.mark.parametrize("case", list(REQUESTS))
async def test_a_bad_request_is_a_4xx_problem(rest: Rest, case: str) -> None:
    method, path, headers, status = REQUESTS[case]
    assert_problem(await rest.http.request(method, path, headers=headers), status)


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/xml", "💥"]
)
async def test_a_body_not_declared_as_json_is_refused(rest: Rest, content_type: str) -> None:
    headers = {b"content-type": content_type.encode()} if content_type else {}
    response = await rest.http.post(PATH, content=b'{"name":"a"}', headers=headers)
    assert_problem(response, 415)


async def test_json_with_a_charset_is_accepted(rest: Rest) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    response = await rest.http.post(PATH, content='{"name":"ü"}'.encode(), headers=headers)
    assert response.status_code == 201


async def test_the_longest_name_is_accepted_and_counted_in_characters(rest: Rest) -> None:
    created = await rest.create(name="🌊" * 255)
    assert (await rest.http.get(f"{PATH}/{created['id']}")).json()["name"] == "🌊" * 255


async def test_a_harmful_correlation_id_is_replaced(rest: Rest) -> None:
    for given in ("", "a b", 'x","level":"fatal', "x" * 101, "ü"):
        response = await rest.http.get("/health", headers={b"x-correlation-id": given.encode()})
        assert response.headers["x-correlation-id"] not in ("", given)


async def test_random_input_never_makes_a_500(rest: Rest) -> None:
    """600 requests from a fixed seed: mutated bodies, paths, queries and headers."""
    source = random.Random(20261121)
    pieces = [
        "",
        "a",
        "\0",
        "\ud800",
        "🌊",
        "n" * 256,
        "{",
        '"',
        "\\",
        "\u2028",
        "%00",
        "-1",
        "1e999",
    ]

    def text() -> str:
        return "".join(source.choice(pieces) for _ in range(source.randint(0, 4)))

    def value(depth: int = 0) -> Any:
        kind = source.randint(0, 7 if depth < 3 else 5)
        if kind == 6:
            return [value(depth + 1) for _ in range(source.randint(0, 3))]
        if kind == 7:
            return {text(): value(depth + 1) for _ in range(source.randint(0, 3))}
        return [None, True, source.randint(-(2**70), 2**70), 1e300, text(), "active"][kind]

    accepted = 0
    for _ in range(600):
        fields = {
            key: value()
            for key in ("name", "description", "status", text())
            if source.random() < 0.3
        }
        if source.random() < 0.7:
            fields["name"] = source.choice(["fine", "ü", "x" * 255])
        body = bytearray(json.dumps(fields).encode())
        for _ in range(source.choice([0, 0, 0, 1, 3])):
            body[source.randrange(len(body))] = source.randrange(256)
        letters = "".join(source.choices(string.ascii_letters + "%/?.~", k=source.randint(0, 12)))
        method, path = source.choice(
            [("POST", PATH), ("PUT", f"{PATH}/{SOME_ID}"), ("GET", f"{PATH}/{letters}"),
             ("GET", f"{PATH}?cursor={letters}"), ("DELETE", f"{PATH}/{letters}")]
        )  # fmt: skip
        response = await rest.http.request(
            method, path, content=bytes(body) if method in ("POST", "PUT") else None, headers=JSON
        )
        assert response.status_code < 500, (method, path, bytes(body), response.text)
        accepted += response.status_code == 201
    assert accepted > 0
    assert len(await rest.rows("SELECT 1 FROM resources")) == accepted
    assert len(await rest.rows("SELECT 1 FROM outbox_events")) == accepted


async def test_a_huge_body_is_refused_without_being_read(process: Process) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    declared = await process.http.post(
        PATH, content=b"x" * 300_000, headers=JSON | {"content-length": "300000"}
    )
    assert_problem(declared, 413)
    try:
        streamed = await process.http.post(PATH, content=endless(), headers=JSON)
    except (httpx.WriteError, httpx.ReadError):
        pass  # the server closed while the client was still sending: refused all the same
    else:
        assert_problem(streamed, 413)
    assert await process.status("/health") == 200

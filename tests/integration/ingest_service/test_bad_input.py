"""Whatever a client sends, the answer is a 4xx problem and nothing is accepted."""

import json
from urllib.parse import quote

import pytest
from redis.asyncio import Redis

from services.shared.runtime.settings import DatabaseSettings
from services.shared.stream import names
from tests.integration.document_input import (
    BODIES,
    JSON,
    REQUESTS,
    assert_problem,
    mutated,
    nested,
)
from tests.integration.ingest_service.conftest import PATH, Ingest
from tests.integration.ingest_service.writing import write


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


@pytest.mark.parametrize("case", list(REQUESTS))
async def test_a_bad_request_is_a_4xx_problem(ingest: Ingest, stream: Redis, case: str) -> None:
    method, rest, headers, status = REQUESTS[case]
    body = b'{"id":"mine"}' if method == "POST" else None
    response = await ingest.http.request(method, PATH + rest, headers=headers, content=body)
    assert_problem(response, status)
    assert await stream.xlen(names.STREAM) == 0


async def test_a_path_that_is_not_served_is_a_404_problem(ingest: Ingest) -> None:
    assert_problem(await ingest.http.get("/api/things"), 404)


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
    accepted = 0
    for body in mutated(20261121, 600):
        response = await ingest.http.post(PATH, content=body, headers=JSON)
        assert response.status_code < 500, (body, response.text)
        accepted += len(response.json()["ids"]) if response.status_code == 202 else 0
    assert accepted > 50
    assert await stream.xlen(names.STREAM) == accepted
    await write(stream, datadb)

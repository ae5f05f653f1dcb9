"""Whatever a client sends to /data, the answer is a 4xx problem and nothing is stored."""

import json

from services.shared.postgres.database import connect
from tests.integration.authority import PATIENCE
from tests.integration.document_input import (
    BODIES,
    JSON,
    REQUESTS,
    assert_problem,
    mutated,
    nested,
)
from tests.integration.rest_service.conftest import Rest

DATA = "/data"


async def count(rest: Rest) -> int:
    """How many documents there are."""
    connection = await connect(rest.data_store, "test", connect_timeout=PATIENCE)
    try:
        return await connection.fetchval("SELECT count(*) FROM synchronous_documents")
    finally:
        await connection.close()


async def test_a_bad_body_is_a_4xx_problem_that_names_the_field(rest: Rest) -> None:
    for case, (body, status, field) in BODIES.items():
        response = await rest.http.post(DATA, content=body, headers=JSON)
        document = assert_problem(response, status)
        assert len(response.content) < 10_000, case
        named = [error["field"] for error in document.get("errors", [])]
        assert named == ([field] if field else []), case
    assert await count(rest) == 0


async def test_what_is_just_within_the_limits_is_stored(rest: Rest) -> None:
    large = {"id": "large", "text": "x" * (2**20 - 100)}
    for given in (json.loads(nested(32)), [{}] * 500, {"id": "🌊" * 200}, large):
        await rest.store(given)
    assert await rest.document("large") == large
    assert await count(rest) == 503


async def test_a_bad_request_is_a_4xx_problem(rest: Rest) -> None:
    for method, following, headers, status in REQUESTS.values():
        body = b'{"id":"mine"}' if method == "POST" else None
        response = await rest.http.request(method, DATA + following, headers=headers, content=body)
        assert_problem(response, status)
    assert await count(rest) == 0


async def test_random_input_never_makes_a_500_and_what_is_stored_was_accepted(rest: Rest) -> None:
    """300 requests from a fixed seed: mutated bodies."""
    accepted: set[str] = set()
    for body in mutated(20261121, 300):
        response = await rest.http.post(DATA, content=body, headers=JSON)
        assert response.status_code < 500, (body, response.text)
        accepted |= set(response.json()["ids"]) if response.status_code == 201 else set()
    assert len(accepted) > 25
    assert await count(rest) == len(accepted)

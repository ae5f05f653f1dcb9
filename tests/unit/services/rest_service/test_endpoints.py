"""What is answered past the framework is answered as the framework would."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import cast

import httpx
import pytest
from fastapi import FastAPI

from services.rest_service.app import create_app
from services.rest_service.documents.service import DocumentService
from services.rest_service.headers import IdempotencyKey
from services.rest_service.models import Resource, ResourceInput
from services.rest_service.service import ResourceService
from services.shared.http import middleware as http
from services.shared.http.health import Readiness
from services.shared.outbox.events import Origin
from services.shared.runtime.metrics import HttpMetrics, new_registry

PATH = "/api/v1/resources"
JSON = {"content-type": "application/json", "x-correlation-id": "the-same"}
NOW = datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=UTC)


def stored(given: ResourceInput) -> Resource:
    some_id = "01a1fb67-1800-7000-8000-000000000000"
    times = {"created_at": NOW, "updated_at": NOW}
    return Resource.model_validate({"id": some_id, "version": 1, **given.model_dump(), **times})


class Stored:
    """In place of the service: what a resource would be."""

    async def create(self, given: ResourceInput, _origin: Origin, _key: str | None) -> Resource:
        return stored(given)


def by_the_framework() -> FastAPI:
    app = FastAPI()

    @app.post(PATH, status_code=201)
    async def create(given: ResourceInput, _key: IdempotencyKey) -> Resource:  # pyright: ignore[reportUnusedFunction]
        return stored(given)

    http.install_problem_handlers(app)
    app.add_middleware(http.RequestContext, metrics=HttpMetrics(new_registry()))
    return app


def past_it() -> FastAPI:
    registry = new_registry()
    service, documents = cast(ResourceService, Stored()), cast(DocumentService, None)
    return create_app("rest", service, documents, Readiness(registry), registry, guard=None)


@pytest.fixture
async def both() -> AsyncIterator[list[httpx.AsyncClient]]:
    clients = [
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://rest")
        for app in (by_the_framework(), past_it())
    ]
    yield clients
    for client in clients:
        await client.aclose()


@pytest.mark.parametrize(
    "body",
    [
        b'{"name":"a"}',
        '{"name":"🌊","description":"ü\\n","status":"pending"}'.encode(),
        b' {"name": "a", "name": "b"} ',
        '{"name":"a"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"name":"a"}',
        *(b"", b"null", b"1", b'"a"', b"[]", b"{}", b"{", b'{"name":"a"} x', b'{"name":"\xff"}'),
        *(b'{"name":NaN}', b'{"name":1}', b'{"name":null}', b'{"name":"","status":"gone"}'),
        *(b'{"name":"a\\u0000"}', b'{"name":"\\ud800"}', b'{"name":"a","version":3}'),
        b'{"name":"a","description":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        json.dumps({"name": "n" * 256, "description": "d" * 10_001}).encode(),
        json.dumps({f"field-{n}": n for n in range(30)}).encode(),
    ],
)
@pytest.mark.parametrize("key", ["", "good", 'ba"d'])
async def test_a_creation_is_answered_as_the_framework_would_answer_it(
    both: list[httpx.AsyncClient], body: bytes, key: str
) -> None:
    headers = JSON | ({"idempotency-key": key} if key else {})
    expected, answer = [await c.post(PATH, content=body, headers=headers) for c in both]
    assert (answer.status_code, answer.content) == (expected.status_code, expected.content)
    assert answer.headers["content-type"] == expected.headers["content-type"]


async def test_a_new_resource_has_its_place_and_its_version_in_headers(
    both: list[httpx.AsyncClient],
) -> None:
    answer = await both[1].post(PATH, content=b'{"name":"a"}', headers=JSON)
    assert answer.headers["location"] == f"{PATH}/{answer.json()['id']}"
    assert (answer.headers["etag"], answer.headers["x-correlation-id"]) == ('"1"', "the-same")

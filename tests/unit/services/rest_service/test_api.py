"""Rules of the REST service that need no server."""

import re
from datetime import UTC, datetime
from typing import cast

import httpx
import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from services.rest_service import repository
from services.rest_service.app import create_app
from services.rest_service.documents.service import DocumentService
from services.rest_service.models import Resource, ResourceInput, Status
from services.rest_service.service import ResourceService
from services.shared.http.health import Readiness
from services.shared.runtime.metrics import new_registry

PATH = "/api/v1/resources"
SOME_ID = "01a1fb67-1800-7000-8000-000000000000"


def app_without_servers() -> FastAPI:
    registry = new_registry()
    return create_app(
        "rest",
        cast(ResourceService, None),
        cast(DocumentService, None),
        Readiness(registry),
        registry,
        guard=None,
    )


def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app_without_servers()), base_url="http://rest"
    )


def test_a_resource_input_has_defaults_and_nothing_extra() -> None:
    given = ResourceInput.model_validate({"name": "a"})
    assert (given.description, given.status) == (None, Status.ACTIVE)
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        ResourceInput.model_validate({"name": "a", "version": 3})


@pytest.mark.parametrize("name", ["", "x" * 256, "a\0b", "\ud800", 1, None])
def test_a_name_that_postgres_would_refuse_is_refused_before(name: object) -> None:
    with pytest.raises(ValidationError):
        ResourceInput.model_validate({"name": name})


def test_statuses_fit_their_column_and_deleted_is_for_events_only() -> None:
    assert "deleted" not in list(Status)
    assert all(len(status) <= 50 for status in Status)


def test_a_cached_resource_comes_back_the_same() -> None:
    now = datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=UTC)
    resource = Resource(
        id=SOME_ID,
        name="🌊",
        description=None,
        status=Status.ACTIVE,
        version=7,
        created_at=now,
        updated_at=now,
    )
    text = resource.model_dump_json()
    assert '"created_at":"2026-11-21T01:02:03.456789Z"' in text
    assert Resource.model_validate_json(text) == resource


@pytest.mark.parametrize("statement", ["_CREATE", "_CREATE_ONCE", "_UPDATE", "_DELETE"])
def test_a_write_changes_then_records_then_notifies_in_one_statement(statement: str) -> None:
    sql: str = getattr(repository, statement)
    assert ";" not in sql
    change, record, notify = (sql.index(part) for part in (" r AS (", "e AS (", "n AS (SELECT"))
    assert change < record < notify
    # The event is made from what the locked row returned, never from the table or the request.
    assert "r.id, r.version" in sql[record:notify]
    assert "FROM r" in sql[record:notify]


def test_importing_the_application_does_no_work() -> None:
    import services.rest_service.__main__ as entry  # noqa: PLC0415

    assert not any(isinstance(value, FastAPI) for value in vars(entry).values())


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        (PATH, "GET, POST"),
        (f"{PATH}/{SOME_ID}", "DELETE, GET, PUT"),
        ("/health", "GET, HEAD"),
    ],
)
async def test_a_method_a_path_lacks_is_405_with_every_method_it_has(
    path: str, methods: str
) -> None:
    async with client() as http:
        for method in ("PATCH", "OPTIONS", "BREW"):
            answer = await http.request(method, path)
            assert (answer.status_code, answer.headers["allow"]) == (405, methods)


@pytest.mark.parametrize("path", [PATH, f"{PATH}/{SOME_ID}", "/health", "/openapi.json"])
async def test_a_trailing_slash_is_another_path_and_no_redirect(path: str) -> None:
    async with client() as http:
        for method in ("GET", "POST"):
            answer = await http.request(method, f"{path}/")
            assert answer.status_code == 404
            assert answer.json()["type"] == "urn:millrace:problem:no-such-path"
            assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("place", "allowed", "refused"),
    [
        ("resource_id", [SOME_ID], ["", SOME_ID.upper(), f"{SOME_ID}0"]),
        ("cursor", ["MDFhMWZiNjctMTgwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAw"], ["", "abc"]),
        ("If-Match", ["*", '"1"', '"000000000000000001"'], ["", "1", 'W/"1"', f'"{"1" * 19}"']),
        ("Idempotency-Key", ["a", '"a b"'], ["", "a b", '"', '""', '"a\\"', "x" * 256]),
        ("name", ["a", "🌊\n"], ["a\0b"]),
    ],
)
def test_the_document_says_which_texts_are_refused(
    place: str, allowed: list[str], refused: list[str]
) -> None:
    document = app_without_servers().openapi()
    patterns = {
        parameter["name"]: parameter["schema"].get("pattern", "")
        for operations in document["paths"].values()
        for operation in operations.values()
        for parameter in operation.get("parameters", [])
    }
    fields = document["components"]["schemas"]["ResourceInput"]["properties"]
    patterns["name"] = fields["name"].get("pattern", "")
    assert fields["description"]["anyOf"][0].get("pattern") == patterns["name"]
    assert all(re.search(patterns[place], text) for text in allowed)
    assert not any(re.search(patterns[place], text) for text in refused)

"""The application without the servers it stands on."""

import re
from typing import cast

import httpx
import pytest
from fastapi import FastAPI

from services.ingest_service.app import create_app
from services.ingest_service.service import IngestService
from services.ingest_service.settings import IngestSettings
from services.ingest_service.telemetry.service import Telemetry
from services.ingest_service.telemetry.settings import PointSettings
from services.shared.http.health import Readiness
from services.shared.runtime.metrics import new_registry

PATH = "/api/data"


def app_without_servers() -> FastAPI:
    registry = new_registry()
    settings = IngestSettings(max_documents=7)
    return create_app(
        "in",
        cast(IngestService, None),
        settings,
        Readiness(registry),
        registry,
        telemetry=cast(Telemetry, None),
        points=PointSettings(most=7),
        guard=None,
    )


def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app_without_servers()), base_url="http://in"
    )


def test_importing_the_application_does_no_work() -> None:
    import services.ingest_service.__main__ as entry  # noqa: PLC0415

    assert not any(isinstance(value, FastAPI) for value in vars(entry).values())


@pytest.mark.parametrize(
    ("path", "methods"),
    [(PATH, "GET, POST"), (f"{PATH}/a/b", "GET"), ("/health", "GET, HEAD")],
)
async def test_a_method_a_path_lacks_is_405_with_every_method_it_has(
    path: str, methods: str
) -> None:
    async with client() as http:
        for method in ("PATCH", "OPTIONS", "BREW"):
            answer = await http.request(method, path)
            assert (answer.status_code, answer.headers["allow"]) == (405, methods)


def test_the_document_says_what_a_body_may_be() -> None:
    document = app_without_servers().openapi()
    one, batch = document["paths"][PATH]["post"]["requestBody"]["content"]["application/json"][
        "schema"
    ]["oneOf"]
    assert one == batch["items"] == {"$ref": "#/components/schemas/Document"}
    assert (batch["minItems"], batch["maxItems"]) == (1, 7)
    named = set(re.findall(r"'#/components/schemas/(\w+)'", str(document)))
    assert {"Document", "Ids", "Problem"} <= named <= set(document["components"]["schemas"])
    assert set(document["paths"][f"{PATH}/{{document_id}}"]["get"]["responses"]) == {
        "200", "401", "403", "404", "500", "503",
    }  # fmt: skip

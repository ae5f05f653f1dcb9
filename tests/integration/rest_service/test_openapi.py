"""The OpenAPI document and the service agree: requests drawn from the one are sent to the other."""

import asyncio

import httpx
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.integration.rest_service.conftest import PATH, Process

# What no schema can say: whether a cursor was ever given out, or a key came before; that two ids
# differ, that a text has no NUL character or cannot be printed, or how deep a document is nested.
UNSAYABLE = {
    *("bad-cursor", "idempotency-key-reused", "version-mismatch"),
    *("idempotency-key-on-batch", "invalid-document", "two-ids"),
}

BY_ID = f"{PATH}/{{resource_id}}"
ANSWERED = {
    f"POST {PATH}": {201},
    f"GET {PATH}": {200},
    f"GET {BY_ID}": {200, 404},
    f"PUT {BY_ID}": {200, 404, 412},
    f"DELETE {BY_ID}": {204, 404, 412},
    "POST /data": {201, 422},
    "GET /data": {200},
    "GET /data/{document_id}": {200, 404},
}
"""What each operation is known to answer with among the drawn cases, or they say little."""


def expect_version(case: schemathesis.Case, if_match: str) -> None:
    """Left to the draw, some runs have hardly any with it, and others hardly any without."""
    if if_match != "as drawn":
        case.headers.pop("If-Match", None)
        if if_match != "none":
            case.headers["If-Match"] = if_match


async def test_no_request_that_the_document_allows_is_refused_and_every_answer_is_as_it_says(
    process: Process,
) -> None:
    """60 cases for each of eight operations. Which, depends on the modules that are loaded, too:
    Hypothesis takes constants from them."""
    document = (await process.http.get("/openapi.json")).json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=f"http://127.0.0.1:{process.port}")
    answered: dict[str, set[int]] = {}
    token = {"Authorization": process.http.headers["authorization"]}

    def try_operation(operation: schemathesis.APIOperation, http: httpx.Client) -> None:
        seen = answered.setdefault(f"{operation.method.upper()} {operation.path}", set())

        @given(
            case=operation.as_strategy(),
            existing=st.booleans(),
            if_match=st.sampled_from(("as drawn", "none", '"9"')),
        )
        @settings(
            max_examples=60,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        )
        def conforms(case: schemathesis.Case, existing: bool, if_match: str) -> None:
            if operation.method in ("put", "delete"):
                expect_version(case, if_match)
            if existing and "resource_id" in case.path_parameters:
                created = http.post(PATH, json={"name": "a"}).json()
                case.path_parameters["resource_id"] = created["id"]
            if existing and "document_id" in case.path_parameters:
                [stored] = http.post("/data", json={"n": 1}).json()["ids"]
                case.path_parameters["document_id"] = stored
            response = case.call(headers=token)
            seen.add(response.status_code)
            kind = response.json()["type"].rpartition(":")[2] if response.status_code >= 400 else ""
            unsayable = [positive_data_acceptance] if kind in UNSAYABLE else []
            case.validate_response(response, excluded_checks=unsayable)

        conforms()

    def run() -> None:
        with httpx.Client(base_url=process.http.base_url, headers=token, timeout=30) as http:
            for path, methods in document["paths"].items():
                for method in methods:
                    try_operation(schema[path][method], http)

    await asyncio.to_thread(run)
    assert set(answered) == set(ANSWERED)
    for operation, statuses in ANSWERED.items():
        assert statuses <= answered[operation], (operation, answered[operation])

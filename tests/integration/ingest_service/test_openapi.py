"""The OpenAPI document and the service agree: requests drawn from the one are sent to the other."""

import asyncio

import httpx
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.harness.asking import patiently
from tests.integration.ingest_service.conftest import PATH, MakeProcess

# What no schema can say: whether a cursor was ever given out, that two ids differ, that a text has
# no NUL character or cannot be printed, or how deep a document is nested.
UNSAYABLE = {"bad-cursor", "idempotency-key-on-batch", "invalid-document", "two-ids"}

BY_ID = f"{PATH}/{{document_id}}"
ANSWERED = {f"POST {PATH}": {202, 422}, f"GET {PATH}": {200}, f"GET {BY_ID}": {200, 404}}
"""What each operation is known to answer with among the drawn cases, or they say little."""


async def test_no_request_that_the_document_allows_is_refused_and_every_answer_is_as_it_says(
    make_process: MakeProcess,
) -> None:
    """60 cases for each of three operations. For telemetry's see the folder beside."""
    process = await make_process()
    base = f"http://127.0.0.1:{process.port}"
    answered: dict[str, set[int]] = {}

    def try_operation(operation: schemathesis.APIOperation, http: httpx.Client) -> None:
        seen = answered.setdefault(f"{operation.method.upper()} {operation.path}", set())

        @given(case=operation.as_strategy(), existing=st.booleans())
        @settings(
            max_examples=60,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        )
        def conforms(case: schemathesis.Case, existing: bool) -> None:
            if existing and "document_id" in case.path_parameters:
                [accepted] = patiently(lambda: http.post(PATH, json={"n": 1})).json()["ids"]
                case.path_parameters["document_id"] = accepted
            response = patiently(lambda: case.call(headers=process.headers, timeout=90))
            seen.add(response.status_code)
            kind = response.json()["type"].rpartition(":")[2] if response.status_code >= 400 else ""
            unsayable = [positive_data_acceptance] if kind in UNSAYABLE else []
            case.validate_response(response, excluded_checks=unsayable)

        conforms()

    def run() -> None:
        with httpx.Client(base_url=base, headers=process.headers, timeout=30) as http:
            document = http.get("/openapi.json").json()
            schema = schemathesis.openapi.from_dict(document)
            schema.config.update(base_url=base)
            documents = [path for path in document["paths"] if path.startswith(PATH)]
            for path in documents:
                for method in document["paths"][path]:
                    try_operation(schema[path][method], http)

    await asyncio.to_thread(run)
    assert set(answered) == set(ANSWERED)
    for operation, statuses in ANSWERED.items():
        assert statuses <= answered[operation], (operation, answered[operation])

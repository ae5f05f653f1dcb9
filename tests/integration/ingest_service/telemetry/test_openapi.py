"""The OpenAPI document and the endpoints agree: requests drawn from one are sent to the other."""

import asyncio
import json
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance

from services.ingest_service.telemetry.endpoints import PATH, ROLLUPS_PATH
from tests.harness.asking import patiently
from tests.integration.ingest_service.telemetry.conftest import Databases, MakeProcess, point

# What no schema can say: that a time is not in the future, or exists at all, that one is not after
# another, whether a cursor was ever given out, or what a line holds.
UNSAYABLE = {"bad-cursor", "bad-range", "bad-time", "invalid-point"}
ANSWERED = {f"POST {PATH}": {202, 422}, f"GET {PATH}": {200}, f"GET {ROLLUPS_PATH}": {200}}
"""What each operation is known to answer with among the drawn cases, or they say little."""


@schemathesis.serializer("application/x-ndjson")
def lines(_context: Any, value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def in_time(body: Any) -> Any:
    """The same points, of a time that there is and that is over."""
    if isinstance(body, str):
        return json.dumps(point())
    for one in body.get("points", [body]):
        one["ts"] = point()["ts"]
    return body


@pytest.mark.timeout(600)  # both servers may have to start for it
async def test_no_request_that_the_document_allows_is_refused_and_every_answer_is_as_it_says(
    make_process: MakeProcess, databases: Databases
) -> None:
    """60 cases for each of three operations."""
    process = await make_process(databases, INGEST_POINTS_SECONDS=60)
    base = f"http://127.0.0.1:{process.port}"
    answered: dict[str, set[int]] = {}

    def try_operation(operation: schemathesis.APIOperation) -> None:
        seen = answered.setdefault(f"{operation.method.upper()} {operation.path}", set())

        @given(case=operation.as_strategy(), real=st.booleans())
        @settings(
            max_examples=60,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        )
        def conforms(case: schemathesis.Case, real: bool) -> None:
            if real and operation.method == "post":
                case.body = in_time(case.body)
            response = patiently(lambda: case.call(headers=process.headers, timeout=90))
            seen.add(response.status_code)
            kind = response.json()["type"].rpartition(":")[2] if response.status_code >= 400 else ""
            assert not (real and kind == "invalid-point"), response.text
            unsayable = [positive_data_acceptance] if kind in UNSAYABLE else []
            case.validate_response(response, excluded_checks=unsayable)

        conforms()

    def run() -> None:
        with httpx.Client(base_url=base, headers=process.headers, timeout=30) as http:
            document = http.get("/openapi.json").json()
        schema = schemathesis.openapi.from_dict(document)
        schema.config.update(base_url=base)
        for path in (PATH, ROLLUPS_PATH):
            for method in document["paths"][path]:
                try_operation(schema[path][method])

    await asyncio.to_thread(run)
    assert set(answered) == set(ANSWERED)
    for operation, statuses in ANSWERED.items():
        assert statuses <= answered[operation], (operation, answered[operation])

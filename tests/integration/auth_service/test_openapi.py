"""The OpenAPI document and the service agree: requests drawn from the one are sent to the other."""

import asyncio
import base64

import httpx
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from services.auth_service.settings import AuthSettings
from tests.harness.asking import patiently
from tests.integration.auth_service.conftest import CLIENTS, GRANT, INTROSPECT, REVOKE, TOKEN
from tests.integration.processes import ServiceProcess

# What no schema can say: whether a client is known, or a cursor was ever given out.
UNSAYABLE = {
    *("invalid_client", "invalid_scope", "invalid_request"),
    *("bad-cursor", "no-such-client", "two-secrets"),
}
BY_ID = f"{CLIENTS}/{{client_id}}"
ANSWERED = {
    f"POST {TOKEN}": {200, 400, 401},
    f"POST {INTROSPECT}": {200, 400, 401},
    f"POST {REVOKE}": {200, 400, 401},
    "GET /.well-known/oauth-authorization-server": {200},
    "GET /.well-known/jwks.json": {200},
    f"POST {CLIENTS}": {201},
    f"GET {CLIENTS}": {200},
    f"GET {BY_ID}": {200, 404},
    f"DELETE {BY_ID}": {204, 404},
    f"POST {BY_ID}/secrets": {201, 404},
}
"""What each operation is known to answer with among the drawn cases, or they say little."""


async def test_no_request_ends_in_an_error_of_the_server_and_every_answer_is_as_the_document_says(
    process: ServiceProcess, auth_settings: AuthSettings
) -> None:
    """40 cases for each operation."""
    base = f"http://127.0.0.1:{process.port}"
    administrator = ("administrator", auth_settings.admin_secret_file.read_text())
    answered: dict[str, set[int]] = {}

    def try_operation(
        operation: schemathesis.APIOperation, http: httpx.Client, bearer: dict[str, str]
    ) -> None:
        seen = answered.setdefault(f"{operation.method.upper()} {operation.path}", set())

        @given(case=operation.as_strategy(), real=st.booleans())
        @settings(
            max_examples=40,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        )
        def conforms(case: schemathesis.Case, real: bool) -> None:
            shown = bearer
            if real and "client_id" in case.path_parameters:
                given_name = {"client_name": "a", "scope": "data:read"}
                made = patiently(lambda: http.post(CLIENTS, json=given_name, headers=bearer)).json()
                case.path_parameters["client_id"] = made["client_id"]
            if operation.path in {TOKEN, INTROSPECT, REVOKE}:
                shown = _as_the_administrator(case, administrator) if real else {}
            response = patiently(lambda: case.call(headers=shown, timeout=90))
            seen.add(response.status_code)
            unsayable = [positive_data_acceptance] if _refusal(response) in UNSAYABLE else []
            case.validate_response(response, excluded_checks=[ignored_auth, *unsayable])

        conforms()

    def run() -> None:
        with httpx.Client(base_url=base, timeout=30) as http:
            document = http.get("/openapi.json").json()
            granted = patiently(lambda: http.post(TOKEN, data=GRANT, auth=administrator))
            token = granted.json()["access_token"]
            schema = schemathesis.openapi.from_dict(document)
            schema.config.update(base_url=base)
            for path, methods in document["paths"].items():
                for method in methods:
                    bearer = {"authorization": f"Bearer {token}"}
                    try_operation(schema[path][method], http, bearer)

    await asyncio.to_thread(run)
    assert set(answered) == set(ANSWERED)
    for operation, statuses in ANSWERED.items():
        assert statuses <= answered[operation], (operation, answered[operation])


def _as_the_administrator(case: schemathesis.Case, who: tuple[str, str]) -> dict[str, str]:
    if isinstance(case.body, dict):
        case.body.pop("client_id", None)
        case.body.pop("client_secret", None)
    joined = base64.b64encode(":".join(who).encode()).decode()
    return {"authorization": f"Basic {joined}"}


def _refusal(response: schemathesis.Response) -> str:
    if response.status_code < 400:
        return ""
    told = response.json()
    return told.get("error") or told["type"].rpartition(":")[2]

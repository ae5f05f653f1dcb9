"""Every application of every service: nothing of it answers without a token but the open list.

A new service is asked as soon as it has an `app.py`.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from prometheus_client import CollectorRegistry
from pydantic_settings import BaseSettings

import services
from services.contracts.scopes import SCOPES
from services.shared.auth import keys as fetching
from services.shared.auth.guard import TokenGuard
from services.shared.auth.keys import Keys
from services.shared.auth.settings import AuthenticationSettings
from services.shared.http.application import Application
from services.shared.http.direct import DirectRoutes
from services.shared.http.gate import OPEN, Guard, UndeclaredError, needs, openly
from services.shared.http.health import Readiness
from services.shared.runtime.metrics import HttpMetrics, new_registry
from tests.harness.issuer import ISSUER, Issuer

FOLDER = Path(next(iter(services.__path__)))
APPS = sorted(path.parent.name for path in FOLDER.glob("*/app.py"))
CLIENTS_SHOW_SECRETS = {
    ("POST", "/oauth/token"),
    ("POST", "/oauth/introspect"),
    ("POST", "/oauth/revoke"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/.well-known/oauth-authorization-server"),
}
"""Of the authorization server: who asks there has no token yet, or needs none."""


class Absent:
    """What an application stands on, and no request without a token may reach."""

    def __getattr__(self, name: str) -> Any:
        def reached(*_args: object) -> None:
            raise AssertionError(f"{name} was reached")

        return reached


def made(package: str, issuer: Issuer) -> Application:
    """The application of a service, without anything that it stands on."""
    create_app = importlib.import_module(f"services.{package}.app").create_app
    registry = new_registry()
    settings = AuthenticationSettings(issuer=ISSUER, jwks_url=issuer.jwks_url)
    readiness = Readiness(registry)
    given: dict[Any, Any] = {str: package, CollectorRegistry: registry, Readiness: readiness}
    arguments: dict[str, Any] = {}
    kinds = typing.get_type_hints(create_app)
    for name, parameter in inspect.signature(create_app).parameters.items():
        kind = kinds[name]
        if name == "guard":
            assert kind == Guard | None
            arguments[name] = TokenGuard(settings, Keys(issuer.jwks_url), registry)
        elif kind in given:
            arguments[name] = given[kind]
        elif inspect.isclass(kind) and issubclass(kind, BaseSettings):
            arguments[name] = kind.model_construct()
        elif parameter.default is inspect.Parameter.empty:
            arguments[name] = Absent()
    return create_app(**arguments)


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer() as running:
        yield running


@pytest.fixture(autouse=True)
def _time(monkeypatch: pytest.MonkeyPatch) -> None:
    """To fetch keys, without which all are refused: a busy machine may take seconds."""
    monkeypatch.setattr(fetching, "FETCH_SECONDS", 30.0)


def calls(app: Application) -> list[tuple[str, str]]:
    found = []
    for route in iter_route_contexts(app.routes):
        assert route.path is not None
        found += [(method, route.path) for method in sorted(route.methods or ())]
    return found


async def ask(app: Application, method: str, path: str, token: str | None) -> httpx.Response:
    filled = re.sub(r"\{[^}]*\}", "01a1fb67-1800-7000-8000-000000000000", path)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        return await http.request(method, filled, headers=headers, content=b"{}")


def test_the_applications_are_found():
    assert {"rest_service", "ingest_service"} <= set(APPS)


@pytest.mark.parametrize("package", APPS)
async def test_no_route_answers_without_a_token_but_those_of_the_open_list(
    package: str, issuer: Issuer
) -> None:
    app = made(package, issuer)
    free = {(method, path) for path in OPEN for method in ("GET", "HEAD")}
    free |= CLIENTS_SHOW_SECRETS
    guarded = [one for one in calls(app) if one not in free]
    assert guarded, f"{package} has no route but open ones"
    for method, path in guarded:
        nothing = await ask(app, method, path, None)
        assert nothing.status_code == 401, (method, path, nothing.text)
        assert nothing.headers["www-authenticate"] == 'Bearer realm="millrace"'
        bad = await ask(app, method, path, "a.b.c")
        assert bad.status_code == 401
        assert 'error="invalid_token"' in bad.headers["www-authenticate"]
        poor = await ask(app, method, path, issuer.token("nothing:useful"))
        assert poor.status_code == 403
        challenge = poor.headers["www-authenticate"]
        assert 'error="insufficient_scope"' in challenge
        assert re.search(r'scope="([^"]+)"', challenge)[1] in SCOPES  # type: ignore[index]
        for answer in (nothing, bad, poor):
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["correlation_id"] == answer.headers["x-correlation-id"]


@pytest.mark.parametrize("package", APPS)
async def test_while_there_are_no_keys_every_route_says_so(package: str) -> None:
    free = {(method, path) for path in OPEN for method in ("GET", "HEAD")} | CLIENTS_SHOW_SECRETS
    with Issuer() as gone:
        gone.stop()  # its port stays its own: another's server there would have keys
        app, token = made(package, gone), gone.token()
        for method, path in calls(app):
            if (method, path) not in free:
                answer = await ask(app, method, path, token)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        for path in ("/health", "/ready", "/metrics", "/openapi.json"):
            assert (await ask(app, "GET", path, None)).status_code == 200


@pytest.mark.parametrize("package", APPS)
def test_the_document_says_which_scope_each_operation_takes(package: str, issuer: Issuer) -> None:
    document = made(package, issuer).openapi()
    scheme = document["components"]["securitySchemes"]["token"]
    flow = scheme["flows"]["clientCredentials"]
    assert scheme["type"] == "oauth2"
    assert flow["tokenUrl"] == f"{ISSUER}/oauth/token"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if (method.upper(), path) in CLIENTS_SHOW_SECRETS:
                continue
            [[scope]] = [one["token"] for one in operation["security"]]
            assert scope in flow["scopes"]
            assert {"401", "403"} <= set(operation["responses"])


def test_a_route_that_does_not_say_who_may_call_it_does_not_start() -> None:
    def app() -> Application:
        context = {"metrics": HttpMetrics(CollectorRegistry())}
        return Application(DirectRoutes(), guard=None, context=context)

    silent = app()
    silent.get("/silent")(lambda: None)
    with pytest.raises(UndeclaredError, match="GET /silent does not say who may call it"):
        silent.finish()
    twice = app()
    twice.get("/twice", dependencies=[needs("data:read"), openly("why")])(lambda: None)
    with pytest.raises(UndeclaredError, match="more than once"):
        twice.finish()
    mounted = app()
    mounted.mount("/more", app())
    with pytest.raises(UndeclaredError):
        mounted.finish()
    with pytest.raises(ValueError, match="no scope 'data:reed'"):
        needs("data:reed")


async def test_an_application_that_was_not_finished_answers_nothing() -> None:
    context = {"metrics": HttpMetrics(CollectorRegistry())}
    app = Application(DirectRoutes(), guard=None, context=context)
    app.get("/health")(lambda: None)
    assert (await ask(app, "GET", "/health", None)).status_code == 500


def test_no_service_makes_an_application_of_its_own_beside_the_guarded_one() -> None:
    made_by = {
        path.relative_to(FOLDER).as_posix()
        for path in FOLDER.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("FastAPI", "Starlette")
    }
    assert made_by == {"shared/http/liveness.py"}, "which has health routes alone"

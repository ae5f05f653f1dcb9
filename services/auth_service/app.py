"""Puts the authorization server's application together."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry

from services.auth_service import api, documented
from services.auth_service.administration import Administration
from services.auth_service.discovery import INTROSPECT, JWKS, METADATA, REVOKE, TOKEN, Discovery
from services.auth_service.endpoints import Endpoints
from services.auth_service.hashing import BusyError
from services.auth_service.store import NoSuchClientError, OverlapError
from services.shared.http import middleware as http
from services.shared.http import problem
from services.shared.http.application import Application
from services.shared.http.direct import DirectRoutes
from services.shared.http.gate import Guard
from services.shared.http.health import Readiness, health_routes
from services.shared.http.openapi import describe_problems
from services.shared.http.problem import ProblemError
from services.shared.runtime.databases import DatabaseUnavailableError
from services.shared.runtime.logging import get_logger
from services.shared.runtime.metrics import HttpMetrics
from services.shared.runtime.settings import AccessLog

log = get_logger(__name__)

_MAX_BODY = 64 * 1024


def create_app(
    service_name: str,
    endpoints: Endpoints,
    discovery: Discovery,
    administration: Administration,
    *,
    guard: Guard | None,
    readiness: Readiness,
    registry: CollectorRegistry,
    access_log: AccessLog = "notable",
) -> FastAPI:
    """The application; whoever calls it opens and closes what it stands on."""
    direct = DirectRoutes()
    for path, endpoint in (
        (TOKEN, endpoints.token),
        (INTROSPECT, endpoints.introspect),
        (REVOKE, endpoints.revoke),
    ):
        direct.add("POST", path, endpoint, _explain)
    direct.add("GET", METADATA, discovery.metadata, _explain)
    direct.add("GET", JWKS, discovery.jwks, _explain)
    # Why no page of documentation and no redirects: see services/rest_service/app.py.
    app = Application(
        direct,
        guard=guard,
        context={
            "metrics": HttpMetrics(registry),
            "max_body": _MAX_BODY,
            "access_log": access_log,
        },
        title="Millrace authorization server",
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.administration = administration
    app.state.guard = guard
    app.include_router(documented.router)
    app.include_router(api.router)
    app.router.routes.extend(health_routes(service_name, readiness, registry))

    async def explained(request: Request, error: Exception) -> Response:
        known = _explain(error)
        assert known is not None
        return http.answer(request.scope, known)

    for kind in (DatabaseUnavailableError, NoSuchClientError, OverlapError, BusyError):
        app.add_exception_handler(kind, explained)
    _describe(app)
    app.finish()
    return app


def _describe(app: FastAPI) -> None:
    """The document is made once, with problem documents in place of the framework's errors."""
    made = app.openapi

    def once() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = app.openapi_schema = made()
            describe_problems(document)
            documented.complete(document)
        return app.openapi_schema

    app.openapi = once


def _explain(error: Exception) -> ProblemError | None:
    match error:
        case DatabaseUnavailableError():
            log.warning("database_unavailable", error=str(error))
            return problem.unavailable("the database")
        case BusyError():
            return problem.unavailable("bcrypt, which too many wait for,")
        case NoSuchClientError():
            return ProblemError(
                404, "no-such-client", "no client has this id, or it is not active any more"
            )
        case OverlapError(until=until):
            return ProblemError(
                409,
                "two-secrets",
                f"two secrets are valid until {until.isoformat()}; wait, or say which of them ends"
                " at once: replace = oldest, or newest where nobody got it",
            )
    return None

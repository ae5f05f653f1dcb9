"""Puts the REST service together."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry

from services.contracts.ids import is_uuid7
from services.rest_service.api import BY_ID, PATH, router
from services.rest_service.documents import api as documents
from services.rest_service.documents.endpoints import Endpoints as DocumentEndpoints
from services.rest_service.documents.service import DocumentService
from services.rest_service.endpoints import Endpoints
from services.rest_service.repository import (
    KeyReusedError,
    NotFoundError,
    VersionMismatchError,
)
from services.rest_service.service import ResourceService
from services.shared.documents import openapi
from services.shared.documents.endpoints import answer_directly
from services.shared.documents.limits import LIMITS
from services.shared.http import middleware as http
from services.shared.http import problem
from services.shared.http.application import Application
from services.shared.http.direct import DirectRoutes
from services.shared.http.gate import Guard, Limit
from services.shared.http.health import Readiness, health_routes
from services.shared.http.problem import ProblemError
from services.shared.postgres.database import DatabaseUnavailableError
from services.shared.runtime.logging import get_logger
from services.shared.runtime.metrics import HttpMetrics
from services.shared.runtime.settings import AccessLog

log = get_logger(__name__)


def create_app(
    service_name: str,
    resources: ResourceService,
    stored: DocumentService,
    readiness: Readiness,
    registry: CollectorRegistry,
    *,
    guard: Guard | None,
    limit: Limit | None = None,
    access_log: AccessLog = "notable",
) -> FastAPI:
    """The application; whoever calls it opens and closes what it stands on."""
    direct = DirectRoutes()
    endpoints = Endpoints(resources, PATH)
    direct.add("GET", BY_ID, endpoints.get, _explain, takes=is_uuid7)
    direct.add("POST", PATH, endpoints.create, _explain)
    answers = DocumentEndpoints(stored)
    answer_directly(
        direct,
        documents.PATH,
        _explain,
        take=answers.store,
        show_page=answers.list,
        show=answers.get,
    )
    # No /docs: its page loads scripts from a content delivery network. No redirects from a trailing
    # slash: the Location would be absolute, with the scheme that the last hop used, which behind
    # TLS is http; and a path has one spelling.
    app = Application(
        direct,
        guard=guard,
        limit=limit,
        context={
            "metrics": HttpMetrics(registry),
            "larger_bodies": {documents.PATH: LIMITS.max_body_bytes},
            "access_log": access_log,
        },
        title="Millrace resources",
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.resources = resources
    app.include_router(router)
    app.include_router(documents.router)
    app.router.routes.extend(health_routes(service_name, readiness, registry))

    async def explained(request: Request, error: Exception) -> Response:
        known = _explain(error)
        assert known is not None
        return http.answer(request.scope, known)

    for kind in (DatabaseUnavailableError, KeyReusedError, NotFoundError, VersionMismatchError):
        app.add_exception_handler(kind, explained)
    openapi.complete(app, documents.PATH, LIMITS.max_documents)
    app.finish()
    return app


def _explain(error: Exception) -> ProblemError | None:
    match error:
        case DatabaseUnavailableError():
            log.warning("database_unavailable", error=str(error))
            return problem.unavailable("the database")
        case NotFoundError():
            return ProblemError(
                404, "no-such-resource", "no resource has this id; it may be deleted"
            )
        case VersionMismatchError():
            return ProblemError(
                412,
                "version-mismatch",
                "the resource has changed since the version in If-Match; read it and try again",
            )
        case KeyReusedError():
            return ProblemError(
                422,
                "idempotency-key-reused",
                "this Idempotency-Key came before, with other content; use a new one for every"
                " resource",
            )
    return None

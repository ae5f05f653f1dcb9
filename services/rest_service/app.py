"""Puts the REST service together."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry

from services.rest_service.api import router
from services.rest_service.documents import api as documents
from services.rest_service.documents.service import DocumentService
from services.rest_service.repository import (
    KeyReusedError,
    NotFoundError,
    VersionMismatchError,
)
from services.rest_service.service import ResourceService
from services.shared.documents import openapi
from services.shared.http import middleware as http
from services.shared.http import problem
from services.shared.http.health import Readiness, health_routes
from services.shared.http.problem import ProblemError
from services.shared.postgres.database import DatabaseUnavailableError
from services.shared.runtime.logging import get_logger
from services.shared.runtime.metrics import HttpMetrics

log = get_logger(__name__)


def create_app(
    service_name: str,
    resources: ResourceService,
    stored: DocumentService,
    readiness: Readiness,
    registry: CollectorRegistry,
) -> FastAPI:
    """The application; whoever calls it opens and closes what it stands on."""
    # No /docs: its page loads scripts from a content delivery network. No redirects from a trailing
    # slash: the Location would be absolute, with the scheme that the last hop used, which behind
    # TLS is http; and a path has one spelling.
    app = FastAPI(
        title="Millrace resources",
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.resources = resources
    app.state.documents = stored
    app.include_router(router)
    app.include_router(documents.router)
    app.router.routes.extend(health_routes(service_name, readiness, registry))
    http.install_problem_handlers(app)

    async def away(request: Request, error: Exception) -> Response:
        log.warning("database_unavailable", error=str(error))
        return http.answer(request.scope, problem.unavailable("the database"))

    async def missing(request: Request, _error: Exception) -> Response:
        return http.answer(
            request.scope,
            ProblemError(404, "no-such-resource", "no resource has this id; it may be deleted"),
        )

    async def mismatch(request: Request, _error: Exception) -> Response:
        return http.answer(
            request.scope,
            ProblemError(
                412,
                "version-mismatch",
                "the resource has changed since the version in If-Match; read it and try again",
            ),
        )

    async def reused(request: Request, _error: Exception) -> Response:
        return http.answer(
            request.scope,
            ProblemError(
                422,
                "idempotency-key-reused",
                "this Idempotency-Key came before, with other content; use a new one for every"
                " resource",
            ),
        )

    app.add_exception_handler(DatabaseUnavailableError, away)
    app.add_exception_handler(KeyReusedError, reused)
    app.add_exception_handler(NotFoundError, missing)
    app.add_exception_handler(VersionMismatchError, mismatch)
    app.add_middleware(
        http.RequestContext,
        metrics=HttpMetrics(registry),
        larger_bodies={documents.PATH: documents.MAX_BODY},
    )
    openapi.complete(app, documents.PATH, documents.LIMITS.max_documents)
    return app

"""Puts the ingest service's application together."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry

from services.ingest_service.api import PATH, router
from services.ingest_service.service import IngestService, NotAdmittedError
from services.ingest_service.settings import IngestSettings
from services.shared.documents import openapi
from services.shared.http import middleware as http
from services.shared.http import problem
from services.shared.http.health import Readiness, health_routes
from services.shared.http.problem import ProblemError
from services.shared.postgres.database import DatabaseUnavailableError
from services.shared.runtime.logging import get_logger
from services.shared.runtime.metrics import HttpMetrics
from services.shared.stream.accept import StreamFullError, StreamUnavailableError

log = get_logger(__name__)

_FULL_RETRY_SECONDS = 5
"""Emptying takes longer than coming back."""


def create_app(
    service_name: str,
    ingest: IngestService,
    settings: IngestSettings,
    readiness: Readiness,
    registry: CollectorRegistry,
) -> FastAPI:
    """The application; whoever calls it opens and closes what it stands on."""
    # Why no page of documentation and no redirects: see services/rest_service/app.py.
    app = FastAPI(
        title="Millrace data",
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.ingest = ingest
    app.state.settings = settings
    app.include_router(router)
    app.router.routes.extend(health_routes(service_name, readiness, registry))
    http.install_problem_handlers(app)

    async def database_away(request: Request, error: Exception) -> Response:
        log.warning("database_unavailable", error=str(error))
        return http.answer(request.scope, problem.unavailable("the database"))

    async def stream_away(request: Request, error: Exception) -> Response:
        assert isinstance(error, StreamUnavailableError)
        return http.answer(
            request.scope,
            _uncertain() if error.uncertain else problem.unavailable("the stream's server"),
        )

    async def full(request: Request, _error: Exception) -> Response:
        return http.answer(request.scope, _full())

    async def not_admitted(request: Request, error: Exception) -> Response:
        assert isinstance(error, NotAdmittedError)
        unknown = error.reason == "unknown"
        return http.answer(
            request.scope, problem.unavailable("the stream's server") if unknown else _full()
        )

    app.add_exception_handler(DatabaseUnavailableError, database_away)
    app.add_exception_handler(StreamUnavailableError, stream_away)
    app.add_exception_handler(StreamFullError, full)
    app.add_exception_handler(NotAdmittedError, not_admitted)
    app.add_middleware(
        http.RequestContext, metrics=HttpMetrics(registry), max_body=settings.max_body_bytes
    )
    openapi.complete(app, PATH, settings.max_documents)
    return app


def _uncertain() -> ProblemError:
    return ProblemError(
        503,
        "outcome-unknown",
        "the stream's server did not answer: the documents may have been accepted or not. Send"
        " them again with the same ids, which is safe; a document without an id may then be there"
        " twice",
        headers={"Retry-After": "2"},
    )


def _full() -> ProblemError:
    return ProblemError(
        503,
        "full",
        "too many documents wait for the database; nothing was accepted, try again after"
        f" {_FULL_RETRY_SECONDS} s",
        headers={"Retry-After": str(_FULL_RETRY_SECONDS)},
    )

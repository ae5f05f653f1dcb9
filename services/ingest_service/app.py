"""Puts the ingest service's application together."""

from __future__ import annotations

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from services.ingest_service.api import PATH, router
from services.ingest_service.endpoints import Endpoints
from services.ingest_service.service import IngestService, NotAdmittedError
from services.ingest_service.settings import IngestSettings
from services.ingest_service.telemetry import api as telemetry_api
from services.ingest_service.telemetry.endpoints import TelemetryEndpoints
from services.ingest_service.telemetry.service import Telemetry
from services.ingest_service.telemetry.settings import PointSettings
from services.shared.documents import openapi
from services.shared.documents.endpoints import answer_directly
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
    *,
    telemetry: Telemetry,
    points: PointSettings,
    guard: Guard | None,
    limit: Limit | None = None,
    access_log: AccessLog = "notable",
) -> FastAPI:
    """The application; whoever calls it opens and closes what it stands on."""
    direct = DirectRoutes()
    answers = Endpoints(ingest, settings)
    answer_directly(
        direct, PATH, _explain, take=answers.accept, show_page=answers.list, show=answers.get
    )
    TelemetryEndpoints(telemetry, points).answer_directly(direct)
    # Why no page of documentation and no redirects: see services/rest_service/app.py.
    app = Application(
        direct,
        guard=guard,
        limit=limit,
        context={
            "metrics": HttpMetrics(registry),
            "max_body": settings.max_body_bytes,
            "access_log": access_log,
        },
        title="Millrace data",
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.ingest = ingest
    app.include_router(router)
    app.include_router(telemetry_api.router)
    app.router.routes.extend(health_routes(service_name, readiness, registry))
    openapi.complete(app, PATH, settings.max_documents)
    telemetry_api.complete(app, points)
    app.finish()
    return app


def _explain(error: Exception) -> ProblemError | None:
    match error:
        case DatabaseUnavailableError():
            log.warning("database_unavailable", error=str(error))
            return problem.unavailable("the database")
        case StreamUnavailableError(uncertain=True):
            return _uncertain()
        case StreamUnavailableError() | NotAdmittedError(reason="unknown"):
            return problem.unavailable("the stream's server")
        case StreamFullError() | NotAdmittedError():
            return _full()
    return None


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

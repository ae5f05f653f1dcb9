"""A /health that fails when the work loop is wedged, for services that work in a loop."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.shared.http.health import Readiness, health_routes
from services.shared.runtime.heartbeat import Heartbeat


def worker_app(
    service: str, readiness: Readiness, registry: CollectorRegistry, heartbeat: Heartbeat
) -> Starlette:
    """/health tied to `heartbeat`; /ready and /metrics as everywhere."""

    async def health(_request: Request) -> Response:
        alive = heartbeat.alive()
        return JSONResponse(
            {
                "status": "ok" if alive else "stuck",
                "service": service,
                "loop_age_seconds": round(heartbeat.age(), 3),
            },
            status_code=200 if alive else 503,
        )

    # The first route that matches answers.
    app = Starlette(routes=[Route("/health", health), *health_routes(service, readiness, registry)])
    app.router.redirect_slashes = False
    return app

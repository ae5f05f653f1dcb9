"""A /health that fails when the work loop is wedged, for services that work in a loop."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.shared.http.health import Readiness, health_routes


class Heartbeat:
    """Beaten by a work loop on every turn, also on turns in which its servers were away.

    A loop that waits for a database keeps beating, so a restart is asked for only when the
    process itself is stuck. Safe to beat from another thread.
    """

    def __init__(self, limit_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit_seconds
        self._clock = clock
        self._last = clock()

    def beat(self) -> None:
        """Say that the loop has come round."""
        self._last = self._clock()

    def age(self) -> float:
        """Seconds since the last beat."""
        return self._clock() - self._last

    def alive(self) -> bool:
        """Whether the last beat is recent enough."""
        return self.age() <= self._limit


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

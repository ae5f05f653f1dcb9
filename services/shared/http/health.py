"""/health, /ready and /metrics, the same in every service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Check = Callable[[], Awaitable[object]]
"""Returns when the thing checked is fine and raises when it is not."""


class Readiness:
    """Whether the service can do its work now: every check passes and it is not shutting down.

    Only what the service cannot work without belongs here: a missing cache or broker must not
    take a pod out of its Service.
    """

    def __init__(self, registry: CollectorRegistry, timeout: float = 2.0) -> None:
        self._checks: dict[str, Check] = {}
        self._timeout = timeout
        self._draining = False
        self._gauge = Gauge(
            "service_ready", "1 while every readiness check passes.", registry=registry
        )

    def add(self, name: str, check: Check) -> None:
        """Require `check` to pass; `name` is what /ready calls it."""
        self._checks[name] = check

    def drain(self) -> None:
        """Fail from now on, so that no new traffic is sent here."""
        self._draining = True

    @property
    def draining(self) -> bool:
        return self._draining

    async def evaluate(self) -> dict[str, str]:
        """The state of each check, "ok" or the reason; all are tried together."""
        names = list(self._checks)
        states = dict(
            zip(names, await asyncio.gather(*(self._try(self._checks[n]) for n in names)),
                strict=True)
        )  # fmt: skip
        if self._draining:
            states["shutdown"] = "shutting down"
        self._gauge.set(all(state == "ok" for state in states.values()))
        return states

    async def _try(self, check: Check) -> str:
        try:
            async with asyncio.timeout(self._timeout):
                await check()
        except TimeoutError:
            return f"no answer within {self._timeout:g} s"
        except Exception as error:  # whatever is wrong, it is the answer and not a crash
            # Only the kind: the message may hold addresses and the endpoint is public.
            return type(error).__name__
        return "ok"


def health_routes(service: str, readiness: Readiness, registry: CollectorRegistry) -> list[Route]:
    """Routes for any Starlette or FastAPI application."""

    async def health(_request: Request) -> Response:
        # Liveness looks at nothing outside: a restart does not bring a database back.
        return JSONResponse({"status": "ok", "service": service})

    async def ready(_request: Request) -> Response:
        states = await readiness.evaluate()
        fine = all(state == "ok" for state in states.values())
        return JSONResponse(
            {"status": "ok" if fine else "unavailable", "service": service, "checks": states},
            status_code=200 if fine else 503,
        )

    async def metrics(request: Request) -> Response:
        # Only OpenMetrics, which Prometheus asks for, has a place for exemplars.
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), media_type=media_type)

    return [Route("/health", health), Route("/ready", ready), Route("/metrics", metrics)]

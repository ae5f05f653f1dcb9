"""An application of the framework, some of whose routes are answered past it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from services.shared.http.direct import DIRECT, DirectRoutes
from services.shared.http.gate import Gate, Guard, Limit
from services.shared.http.middleware import RequestContext, install_problem_handlers


class Application(FastAPI):
    """Every request gets a RequestContext; what `direct` has is answered before the framework.

    When all routes are there, finish() reads who may call them; no request is answered before.
    """

    def __init__(
        self,
        direct: DirectRoutes,
        *,
        guard: Guard | None,
        limit: Limit | None = None,
        context: dict[str, Any],
        **about: Any,
    ) -> None:
        """`guard`: who knows clients by what they show, None: they need show nothing; `limit`: who
        knows how often they may ask, None: as often as they like; `context`: how a RequestContext
        is made; `about`: as FastAPI takes it."""
        # Spans and metrics of requests are RequestContext's, whoever answers them.
        super().__init__(telemetry={"tracing": False, "metrics": False, "logs": False}, **about)
        self._direct = direct
        self._gate = Gate(guard, limit)
        context = {**context, "gate": self._gate}
        # Outside all that the framework puts around its own middleware.
        self._front = RequestContext(super().__call__, **context)
        self.add_middleware(RequestContext, **context)
        install_problem_handlers(self)

    def finish(self) -> None:
        """Read who may call each route. Raises UndeclaredError."""
        self._direct.declare(self._gate.declare(self))

    def openapi(self) -> dict[str, Any]:
        """With what the gate does."""
        document = super().openapi()
        self._gate.describe(document)
        return document

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            found = self._direct.find(scope["method"], scope["path"])
            if found is not None:
                scope[DIRECT] = found
                await self._front(scope, receive, send)
                return
        await super().__call__(scope, receive, send)

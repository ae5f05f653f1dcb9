"""A guarded application, and the clock that it goes by."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.contracts.scopes import DATA_READ, DATA_WRITE
from services.shared.auth import keys as fetching
from services.shared.auth.guard import TokenGuard
from services.shared.auth.keys import Keys
from services.shared.auth.settings import AuthenticationSettings
from services.shared.http.application import Application
from services.shared.http.direct import Call, DirectRoutes, Reply
from services.shared.http.gate import needs
from services.shared.runtime.metrics import HttpMetrics
from tests.harness.issuer import ISSUER, Issuer


@dataclass
class Clock:
    """Of the day, set forward or back by `off` seconds; `day` is what it goes by otherwise."""

    off: float = 0.0
    day: Callable[[], float] = time.time

    def __call__(self) -> float:
        return self.day() + self.off


@dataclass
class Guarded:
    """GET /direct and GET /framed need data:read, POST of both data:write."""

    http: httpx.AsyncClient
    issuer: Issuer
    keys: Keys
    app: Application
    registry: CollectorRegistry
    clock: Clock = field(default_factory=Clock)

    async def get(self, token: str | None, path: str = "/direct") -> httpx.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return await self.http.get(path, headers=headers)

    def refused(self, reason: str) -> float:
        labels = {"reason": reason}
        return self.registry.get_sample_value("auth_tokens_refused_total", labels) or 0.0

    def accepted(self, by: str) -> float:
        return self.registry.get_sample_value("auth_tokens_accepted_total", {"by": by}) or 0.0


async def _answer(call: Call) -> Reply:
    return Reply(200, b"[%d]" % len(call.body))


@asynccontextmanager
async def guarded_by(
    issuer: Issuer, *, remembered: int = 100, leeway: float = 5, apart: float = 0.05
) -> AsyncIterator[Guarded]:
    registry = CollectorRegistry()
    clock = Clock()
    settings = AuthenticationSettings(
        issuer=ISSUER, jwks_url=issuer.jwks_url, remembered=remembered, leeway_seconds=leeway
    )
    keys = Keys(issuer.jwks_url, apart=apart)
    direct = DirectRoutes()
    app = Application(
        direct,
        guard=TokenGuard(settings, keys, registry, clock),
        context={"metrics": HttpMetrics(registry), "access_log": "all"},
    )
    for method, scope in (("GET", DATA_READ), ("POST", DATA_WRITE)):
        direct.add(method, "/direct", _answer, lambda error: None)
        for path in ("/direct", "/framed"):
            route = app.api_route(path, methods=[method], dependencies=[needs(scope)])
            route(lambda: [0])
    app.finish()
    transport = httpx.ASGITransport(app=app)
    with pytest.MonkeyPatch.context() as patch:
        # Without keys all are refused, and a busy machine may take seconds to fetch them.
        patch.setattr(fetching, "FETCH_SECONDS", 30.0)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            yield Guarded(http, issuer, keys, app, registry, clock)

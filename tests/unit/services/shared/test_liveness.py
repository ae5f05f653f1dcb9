"""/health of a service that works in a loop."""

from __future__ import annotations

import httpx
from prometheus_client import CollectorRegistry

from services.shared.http.health import Readiness
from services.shared.http.liveness import worker_app
from services.shared.runtime.heartbeat import Heartbeat


async def test_health_fails_when_the_loop_stands_still_and_recovers_with_it() -> None:
    now = [100.0]
    heartbeat = Heartbeat(30, clock=lambda: now[0])
    registry = CollectorRegistry()
    app = worker_app("relay", Readiness(registry), registry, heartbeat)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/health")).status_code == 200
        now[0] += 31
        stuck = await client.get("/health")
        assert (stuck.status_code, stuck.json()["status"]) == (503, "stuck")
        assert (await client.get("/ready")).status_code == 200
        heartbeat.beat()
        assert (await client.get("/health")).status_code == 200


async def test_a_trailing_slash_is_another_path_and_no_redirect() -> None:
    registry = CollectorRegistry()
    app = worker_app("relay", Readiness(registry), registry, Heartbeat(30))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/health/")).status_code == 404

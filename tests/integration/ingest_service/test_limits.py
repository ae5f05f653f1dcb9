"""Two processes of the service hold their clients to one rate, with Redis and without."""

from __future__ import annotations

from typing import Any

import httpx
from redis.asyncio import Redis

from services.contracts.ids import new_id
from tests.integration.ingest_service.conftest import PATH, MakeProcess
from tests.integration.ingest_service.stream_server import IngestRedis
from tests.integration.processes import ServiceProcess
from tests.integration.servers import eventually

LIMIT = {
    "SERVICE_NAME": "ingest-service",  # after which its keys are called
    "RATE_LIMIT_PER_SECOND": "0.01",
    "RATE_LIMIT_BURST": "20",
}
COST_SECONDS = 100
BUCKET = "limit:ingest-service:client:tester"
OPEN = "/openapi.json"
"""Takes no token: the address counts."""


async def allowed(process: ServiceProcess, tries: int, path: str) -> int:
    """How many of so many requests are let in."""
    count = 0
    base = f"http://127.0.0.1:{process.port}"
    async with httpx.AsyncClient(base_url=base, headers=process.headers, timeout=60) as http:
        for _ in range(tries):
            answer = await http.get(path)
            if answer.status_code == 429:
                assert 1 <= int(answer.headers["retry-after"]) <= 2 * 20 * COST_SECONDS
            else:
                count += 1
    return count


async def test_processes_share_a_rate_and_have_shares_of_it_without_redis(
    make_process: MakeProcess, cache: Redis, cache_server: IngestRedis
) -> None:
    first, second = [await make_process(**LIMIT) for _ in range(2)]
    document = f"{PATH}/{new_id()}"
    assert await allowed(first, 15, document) == 15
    await eventually(lambda: told(cache, 15))
    assert await allowed(second, 1, document) == 1
    await eventually(lambda: second.metric_is("rate_limit_pods", 2))
    assert await allowed(second, 30, document) == 4
    cache_server.container.stop()
    try:
        # All that is let in from now on is by the address, whose bucket nobody took from yet.
        opened = "circuit_breaker_opened_total"

        async def alone() -> bool:
            await allowed(second, 1, OPEN)
            return await second.metric(opened) >= 1

        assert await allowed(second, 1, OPEN) == 1
        await eventually(alone)
        assert await allowed(second, 30, OPEN) < 10  # of its half it gave some meanwhile
    finally:
        cache_server.container.start()
        await cache_server.wait()


async def told(cache: Redis, requests: int) -> bool:
    """Whether so many requests of the client are known to all."""
    full_at: Any = await cache.get(BUCKET)
    seconds, micros = await cache.time()
    lacks = int(full_at or 0) / 1e6 - (seconds + micros / 1e6)
    return lacks > (requests - 1) * COST_SECONDS

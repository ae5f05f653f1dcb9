"""The rates of clients on a real Redis, with the rights that a service has there: several pods, a
server that is gone or stands still, clocks that are wrong, many clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from components.servers.redis import config as redis_config
from services.shared.http.problem import ProblemError
from services.shared.limits import wiring
from services.shared.limits.limiter import RateLimit
from services.shared.limits.settings import RateLimitSettings
from services.shared.limits.wiring import LimitMeans, limited
from services.shared.redis import client as redis_client
from services.shared.runtime.breaker import BreakerMetrics
from services.shared.runtime.settings import BreakerSettings
from tests.integration import redis_users
from tests.integration.authority import PATIENCE
from tests.integration.containers import Containers
from tests.integration.servers import Authority, RedisServer, eventually, run_redis

SERVICE = "rest-service"
KEYS = f"limit:{SERVICE}:"
IN_THE_CLUSTER = wiring.EXCHANGE_TIMEOUT


@pytest.fixture(scope="module")
async def server(containers: Containers, authority: Authority) -> RedisServer:
    """As the cluster's cache."""
    file = authority.secret("redis-limits")
    conf = redis_config.redis_conf(
        max_memory_bytes=64 * 2**20, eviction="allkeys-lru", append_fsync=None
    )
    password = file.read_text()
    users = [
        redis_users.redis_user(SERVICE, "redis-cache", password),
        redis_users.tester(password),
    ]
    container = run_redis(containers, authority, "redis-limits", conf, users)
    started = RedisServer(container, authority, file, SERVICE)
    await started.wait()
    return started


@pytest.fixture
async def look(server: RedisServer) -> AsyncIterator[Redis]:
    """Into the server, which is empty, and is healthy again afterwards."""
    client = redis_client.client(server.settings(redis_users.TESTER), timeout=PATIENCE)
    await client.flushall()
    yield client
    server.container.unpause()
    server.container.start()
    await server.wait()
    await client.aclose()


@dataclass
class Pod:
    limit: RateLimit
    registry: CollectorRegistry

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    def allowed(self, client: str, tries: int) -> int:
        """How many of so many requests are let in. Nothing is waited for."""
        count = 0
        for _ in range(tries):
            try:
                self.limit.admit(client, None)
            except ProblemError:
                continue
            count += 1
        return count

    async def told(self) -> None:
        """Until nothing is left to tell."""

        async def done() -> bool:
            return self.limit._telling is None

        await eventually(done)

    async def goes(self, by: str) -> None:
        """Until it lets in by what all pods let in (shared), or by its share (alone)."""
        name = "rate_limit_requests_total"
        before = self.metric(name, result="allowed", by=by)

        async def is_so() -> bool:
            self.limit.admit(f"somebody-{time.monotonic()}", None)
            return self.metric(name, result="allowed", by=by) > before

        await eventually(is_so)


MakePod = Callable[..., Awaitable[Pod]]


@pytest.fixture
async def make_pod(
    server: RedisServer, look: Redis, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MakePod]:
    """`await make_pod(per_second=10)`: as one process of the service has it."""
    monkeypatch.setattr(wiring, "EXCHANGE_TIMEOUT", float(PATIENCE))
    async with AsyncExitStack() as stack:

        async def make(**settings: Any) -> Pod:
            registry = CollectorRegistry()
            means = LimitMeans(RateLimitSettings(**settings), BreakerSettings())
            metrics = BreakerMetrics(registry)
            limit = await stack.enter_async_context(
                limited(means, server.settings(), SERVICE, registry, metrics)
            )
            assert limit is not None
            return Pod(limit, registry)

        yield make


async def test_pods_share_what_a_client_may_ask_for(make_pod: MakePod) -> None:
    first, second = [await make_pod(per_second=0.01, burst=20) for _ in range(2)]
    assert first.allowed("c", 15) == 15
    await first.told()
    assert second.allowed("c", 1) == 1  # of which it knows nothing yet
    await second.told()
    assert second.allowed("c", 100) == 4
    assert second.allowed("other", 100) == 20
    await second.told()
    assert first.allowed("c", 1) == 1
    await first.told()
    assert first.allowed("c", 1) == 0
    assert [pod.metric("rate_limit_pods") for pod in (first, second)] == [2, 2]


async def test_however_many_pods_a_client_asks_it_gets_its_rate(make_pod: MakePod) -> None:
    rate, burst, count = 50, 10, 0
    pods = [await make_pod(per_second=rate, burst=burst) for _ in range(4)]
    started = time.monotonic()
    while time.monotonic() < started + 3:
        count += sum(pod.allowed("c", 5) for pod in pods)
        await asyncio.sleep(0.002)
    seconds = time.monotonic() - started
    # What they gave too much at the beginning, and what the last did not tell yet.
    most = rate * seconds + burst + 2 * len(pods) * burst
    assert rate * seconds * 0.3 <= count <= most


async def test_while_redis_is_gone_pods_give_shares_and_then_the_whole_again(
    make_pod: MakePod, server: RedisServer
) -> None:
    pods = [await make_pod(per_second=0.01, burst=20) for _ in range(2)]
    for pod in (*pods, *pods):
        assert pod.allowed("c", 1) == 1
        await pod.told()
    server.container.kill()
    for pod in pods:
        await pod.goes("alone")
        assert pod.allowed("new", 100) == 10

    async def left_alone() -> bool:
        for pod in pods:
            pod.limit.admit(f"more-{time.monotonic()}", None)
        return all(
            pod.metric("circuit_breaker_state", dependency="rate-limit") == 2 for pod in pods
        )

    await eventually(left_alone)
    server.container.start()
    await server.wait()
    for pod in pods:
        await pod.goes("shared")
        assert pod.metric("circuit_breaker_state", dependency="rate-limit") == 0
        assert pod.metric("circuit_breaker_opened_total", dependency="rate-limit") == 1
    first, second = pods
    assert first.allowed("after", 100) == 20
    await first.told()
    assert second.allowed("after", 1) == 1
    await second.told()
    assert second.allowed("after", 100) == 0


async def test_no_request_waits_for_a_redis_that_stands_still(
    make_pod: MakePod, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "EXCHANGE_TIMEOUT", IN_THE_CLUSTER)
    pod = await make_pod(per_second=0.01, burst=20)
    await pod.goes("shared")
    await pod.told()
    server.container.pause()
    assert pod.allowed("c", 100) == 20  # at once: nothing here is awaited
    await pod.goes("alone")
    assert pod.allowed("d", 100) == 20  # it is the only one

    async def left_alone() -> bool:
        pod.limit.admit(f"more-{time.monotonic()}", None)
        return pod.metric("circuit_breaker_opened_total", dependency="rate-limit") == 1

    await eventually(left_alone)
    server.container.unpause()
    await pod.goes("shared")
    await pod.told()


async def test_a_pod_starts_without_redis_and_ends_without_it(
    make_pod: MakePod, server: RedisServer
) -> None:
    server.container.kill()
    pod = await make_pod(per_second=0.01, burst=20)
    assert pod.allowed("c", 100) == 20
    await pod.goes("alone")
    assert pod.allowed("d", 100) == 20


async def test_a_clock_of_the_server_that_was_set_back_keeps_nobody_out_for_long(
    make_pod: MakePod, look: Redis
) -> None:
    pod = await make_pod(per_second=10, burst=5)
    ahead = int((time.time() + 10 * 365 * 86_400) * 1e6)
    await look.set(f"{KEYS}client:c", ahead)
    await look.zadd(f"{KEYS}pods", {"gone": ahead, "another": ahead})
    assert pod.allowed("c", 1) == 1
    await pod.told()
    assert pod.allowed("c", 1) == 0
    assert pod.metric("rate_limit_pods") == 1
    began = time.monotonic()

    async def let_in() -> bool:
        return pod.allowed("c", 1) == 1

    await eventually(let_in)
    assert time.monotonic() - began > 0.3  # it owes a burst, which is half a second's worth


async def test_clocks_of_pods_need_not_agree(
    make_pod: MakePod, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = [await make_pod(per_second=0.01, burst=20) for _ in range(2)]
    monkeypatch.setattr(first.limit, "_clock", lambda: time.monotonic() + 1e7)
    monkeypatch.setattr(second.limit, "_clock", lambda: time.monotonic() / 2)
    assert first.allowed("c", 15) == 15
    await first.told()
    assert second.allowed("c", 1) == 1
    await second.told()
    assert second.allowed("c", 100) == 4


async def test_many_clients_leave_nothing_behind(make_pod: MakePod, look: Redis) -> None:
    pod = await make_pod(per_second=0.5, burst=1, clients=1000)
    for number in range(5000):
        assert pod.allowed(str(number), 1) == 1
    assert pod.metric("rate_limit_clients") == 1000
    await pod.told()
    assert await look.pttl(f"{KEYS}client:4999") <= 2000
    assert 0 < await look.pttl(f"{KEYS}pods") <= 60_000

    async def forgotten() -> bool:
        return await look.keys() == [f"{KEYS}pods".encode()]

    await eventually(forgotten)


async def test_a_server_that_forgot_its_scripts_is_given_them_again(
    make_pod: MakePod, look: Redis
) -> None:
    pod = await make_pod(per_second=10)
    for name in ("before", "after"):
        assert pod.allowed(name, 1) == 1
        await pod.told()
        await look.script_flush()
    assert pod.metric("rate_limit_requests_total", result="allowed", by="alone") == 0
    assert pod.metric("rate_limit_pods") == 1

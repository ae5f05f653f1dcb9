"""A limit at the gates of HTTP and gRPC: one number for both, and none for who asks for health."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from google.rpc import error_details_pb2
from prometheus_client import CollectorRegistry

from services.contracts.scopes import DATA_READ
from services.shared.grpc.calls import address
from services.shared.http.application import Application
from services.shared.http.direct import Call, DirectRoutes, Reply
from services.shared.http.gate import Gate, needs, openly
from services.shared.http.health import Readiness, health_routes
from services.shared.http.problem import ProblemError
from services.shared.runtime.metrics import HttpMetrics
from tests.unit.services.shared.grpc_world import OK, get, rest_of, serving
from tests.unit.services.shared.limits_world import Limits


class Guard:
    """Takes the header for the client's name, the second time without a look."""

    token_url = "http://issuer"

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def known(self, authorization: bytes, needs: str) -> str | None:
        return authorization.decode() if authorization in self._known else None

    async def check(self, authorization: bytes | None, needs: str) -> str:
        if authorization is None:
            raise ProblemError(401, "no-token", "show one")
        self._known.add(authorization)
        return authorization.decode()


def application(limits: Limits | None, guard: Guard | None) -> Application:
    registry = CollectorRegistry()
    direct = DirectRoutes()

    async def answer(call: Call) -> Reply:
        return Reply(200, b'"direct"')

    async def framework() -> str:
        return "framework"

    direct.add("POST", "/direct", answer, lambda _error: None)
    app = Application(
        direct,
        guard=guard,
        limit=None if limits is None else limits.limit,
        context={"metrics": HttpMetrics(registry)},
    )
    app.post("/direct", dependencies=[needs(DATA_READ)])(framework)
    app.get("/framework", dependencies=[needs(DATA_READ)])(framework)
    app.get("/open", dependencies=[openly("a test")])(framework)
    app.router.routes.extend(health_routes("svc", Readiness(registry), registry))
    app.finish()
    return app


def client_of(app: Application, address: str = "10.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, client=(address, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://x")


async def test_over_http_a_client_is_held_to_its_rate_whichever_way_it_asks() -> None:
    limits = Limits(per_second=0.5, burst=3)
    app = application(limits, Guard())
    one, other = {"authorization": "one"}, {"authorization": "other"}
    async with client_of(app) as http, client_of(app, "10.0.0.2") as elsewhere:
        assert (await http.post("/direct", headers=one)).text == '"direct"'
        assert (await http.get("/framework", headers=one)).status_code == 200
        assert (await elsewhere.get("/framework", headers=one)).status_code == 200
        for path in ("/direct", "/framework"):
            method = "POST" if path == "/direct" else "GET"
            refused = await http.request(method, path, headers=one, content=b"x" * 1000)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.json()["type"] == "urn:millrace:problem:rate-limited"
            assert refused.json()["instance"] == path
        assert (await http.get("/framework", headers=other)).status_code == 200
        assert (await http.get("/framework")).status_code == 401  # and counts for nobody
        for path in ("/health", "/ready", "/metrics"):
            for _ in range(5):
                assert (await http.get(path)).status_code == 200
    assert (limits.count("allowed"), limits.count("refused")) == (4, 2)
    await limits.limit.close()


async def test_where_no_token_is_needed_the_address_counts() -> None:
    limits = Limits(per_second=0.5, burst=2)
    app = application(limits, Guard())
    async with client_of(app) as http, client_of(app, "10.0.0.2") as elsewhere:
        for path in ("/open", "/nowhere"):
            header = {"authorization": path}  # nobody asks whether it is a token
            assert (await http.get(path, headers=header)).status_code in {200, 404}
        assert (await http.get("/open")).status_code == 429
        assert (await elsewhere.get("/open")).status_code == 200
        assert (await http.get("/framework", headers={"authorization": "c"})).status_code == 200
    async with client_of(application(limits, None), "10.0.0.3") as http:
        codes = [(await http.get("/framework")).status_code for _ in range(3)]
        assert codes == [200, 200, 429]
    await limits.limit.close()


def test_the_document_says_so_where_there_is_a_limit() -> None:
    limited = application(Limits(per_second=1), Guard()).openapi()["paths"]
    without = application(None, Guard()).openapi()["paths"]
    for path, method in (("/direct", "post"), ("/framework", "get"), ("/open", "get")):
        assert "Retry-After" in limited[path][method]["responses"]["429"]["headers"]
        assert "429" not in without[path][method]["responses"]


async def test_without_a_limit_the_gate_asks_nobody() -> None:
    scope: Any = {"method": "GET", "path": "/nowhere", "headers": []}  # not even an address
    gate = Gate(None)
    gate.declare(application(None, None))
    await gate.pass_through(scope, {}, None)


async def test_by_grpc_a_client_is_held_to_its_rate_and_told_when_to_come_again() -> None:
    limits = Limits(per_second=0.5, burst=2)
    one, other = {"authorization": "one"}, {"authorization": "other"}
    async with serving(guard=Guard(), limit=limits.limit, GetTaskStatus=get) as world:
        assert (await world.call(metadata=one)).code == OK
        told, ended = await rest_of(world.watching(metadata=one))
        assert (len(told), ended.code) == (3, OK)  # a stream is one call
        for refused in (
            await world.call(metadata=one),
            (await rest_of(world.watching(metadata=one)))[1],
        ):
            assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
            assert refused.detail(error_details_pb2.RetryInfo).retry_delay.seconds == 2
        assert world.handled("ProcessTask", "RESOURCE_EXHAUSTED") == 1
        assert (await world.call(metadata=other)).code == OK
        assert (await world.call()).code == "UNAUTHENTICATED"
        for _ in range(5):
            health = await world.call(service="grpc.health.v1.Health", method="Check", request=b"")
            assert health.code == OK
    assert (limits.count("allowed"), limits.count("refused")) == (3, 2)
    await limits.limit.close()


async def test_by_grpc_the_address_counts_where_nobody_needs_a_token() -> None:
    limits = Limits(per_second=0.5, burst=2)
    async with serving(limit=limits.limit) as world:
        codes = [(await world.call()).code for _ in range(3)]
        assert codes == [OK, OK, "RESOURCE_EXHAUSTED"]
    assert [*limits.limit._buckets] in (["address:127.0.0.1"], ["address:::/64"])
    await limits.limit.close()


async def test_what_came_by_http_counts_by_grpc() -> None:
    limits = Limits(per_second=0.5, burst=2)
    who = {"authorization": "one"}
    async with (
        client_of(application(limits, Guard())) as http,
        serving(guard=Guard(), limit=limits.limit) as world,
    ):
        assert (await http.get("/framework", headers=who)).status_code == 200
        assert (await world.call(metadata=who)).code == OK
        assert (await world.call(metadata=who)).code == "RESOURCE_EXHAUSTED"
        assert (await http.get("/framework", headers=who)).status_code == 429
    await limits.limit.close()


@pytest.mark.parametrize(
    ("peer", "found"),
    [
        ("ipv4:10.0.0.1:5", "10.0.0.1"),
        ("ipv6:[2001:db8::1]:5", "2001:db8::1"),
        ("ipv6:%5B::1%5D:5", "::1"),
        ("unix:/run/a", None),
    ],
)
def test_an_address_is_read_off_a_peer(peer: str, found: str | None) -> None:
    class Rpc:
        def peer(self) -> str:
            return peer

    assert address(Rpc()) == found

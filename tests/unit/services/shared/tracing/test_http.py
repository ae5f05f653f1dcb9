"""Requests as spans, and as examples in the metrics."""

import re

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from services.shared.http.application import Application
from services.shared.http.direct import Call, DirectRoutes, Reply
from services.shared.http.gate import openly
from services.shared.http.health import Readiness, health_routes
from services.shared.runtime.metrics import HttpMetrics, new_registry
from services.shared.tracing import spans
from tests.harness.traces import CALLER, SPAN, TRACE, Spans, about, parent_of, recording, trace_of

OPEN_METRICS = {
    "accept": "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,*/*;q=0.1"
}
"""As Prometheus 3 asks."""


def application(registry: CollectorRegistry) -> FastAPI:
    direct = DirectRoutes()

    async def answer(call: Call) -> Reply:
        with spans.step("SELECT things", "CLIENT", {}):
            return Reply(200, call.traceparent.encode())

    direct.add("GET", "/direct", answer, lambda _: None)
    app = Application(direct, guard=None, context={"metrics": HttpMetrics(registry)})
    said = [openly("a test")]

    @app.get("/direct", dependencies=said)
    async def described() -> None: ...  # pyright: ignore[reportUnusedFunction]

    @app.get("/things/{thing}", dependencies=said)
    async def thing(thing: str) -> str:  # pyright: ignore[reportUnusedFunction]
        if thing == "wrong":
            raise ZeroDivisionError("hush")
        return thing

    app.router.routes.extend(health_routes("a", Readiness(registry), registry))
    app.finish()
    return app


def client(registry: CollectorRegistry) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=application(registry))
    return httpx.AsyncClient(transport=transport, base_url="http://a")


async def test_a_request_past_the_framework_is_a_span_with_its_steps(traces: Spans) -> None:
    headers = {"traceparent": CALLER, "x-correlation-id": "mine"}
    async with client(new_registry()) as http:
        answer = await http.get("/direct?secret=hush", headers=headers)
    assert traces.tree() == {"GET /direct": {"SELECT things": {}}}
    made = traces.one("GET /direct")
    assert (trace_of(made), parent_of(made)) == (TRACE, SPAN)
    assert answer.text == f"00-{TRACE}-{made.context.span_id:016x}-01"  # type: ignore[union-attr]
    assert about(made) == {
        "http.request.method": "GET",
        "http.route": "/direct",
        "http.response.status_code": 200,
        "url.path": "/direct",
        "url.scheme": "http",
        "millrace.correlation_id": "mine",
        "millrace.asked_for": True,
    }


@pytest.mark.parametrize(
    ("method", "path", "name", "status"),
    [
        ("GET", "/things/7", "GET /things/{thing}", 200),
        ("GET", "/things/wrong", "GET /things/{thing}", 500),
        ("GET", "/nowhere/at/all", "GET unmatched", 404),
        ("BREW", "/things/7", "other /things/{thing}", 405),
    ],
)
async def test_a_span_is_called_by_its_route_and_never_by_what_a_client_made_up(
    traces: Spans, method: str, path: str, name: str, status: int
) -> None:
    async with client(new_registry()) as http:
        await http.request(method, path, headers={"traceparent": CALLER})
    made = traces.one(name)
    assert about(made)["http.response.status_code"] == status
    assert "hush" not in made.to_json()


async def test_probes_and_scrapes_begin_no_trace() -> None:
    with recording(sampling=1) as traces:
        async with client(new_registry()) as http:
            for path in ("/health", "/ready", "/metrics", "/things/7"):
                await http.get(path)
        assert [one.name for one in traces.all] == ["GET /things/{thing}"]


async def test_a_recorded_request_is_the_example_of_its_bucket(traces: Spans) -> None:
    async with client(new_registry()) as http:
        await http.get("/things/7")
        before = await http.get("/metrics", headers=OPEN_METRICS)
        await http.get("/things/7", headers={"traceparent": CALLER})
        after = await http.get("/metrics", headers=OPEN_METRICS)
        plain = await http.get("/metrics")
    assert traces.named("GET /things/{thing}")
    assert after.headers["content-type"].startswith("application/openmetrics-text")
    assert " # {" not in before.text
    [line] = [line for line in after.text.splitlines() if " # {" in line]
    assert line.startswith("http_request_duration_seconds_bucket{")
    assert f'# {{trace_id="{TRACE}"}}' in line
    assert plain.headers["content-type"].startswith("text/plain")
    assert " # {" not in plain.text
    names = {family.name for family in text_string_to_metric_families(after.text)}
    assert {"http_requests", "http_request_duration_seconds", "tracing_spans"} <= names


async def test_hostile_requests_make_no_more_series_than_there_are_routes() -> None:
    registry = new_registry()
    async with client(registry) as http:
        for n in range(200):
            await http.request(f"M{n}", f"/{n}/{n}", headers={"x-correlation-id": f"c{n}"})
            await http.get(f"/things/{n}?n={n}", headers={"user-agent": f"u{n}"})
        text = (await http.get("/metrics")).text
    series = {line.split(" ")[0] for line in text.splitlines() if line.startswith("http_requests")}
    assert {re.sub(r"status=\"\d+\"", "", one) for one in series} == {
        'http_requests_total{method="GET",route="/things/{thing}",}',
        'http_requests_total{method="other",route="unmatched",}',
    }

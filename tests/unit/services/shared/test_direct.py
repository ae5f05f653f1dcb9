"""Endpoints that are called past the framework, beside routes of the framework."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import CapturingLogger

from services.shared.http import books
from services.shared.http.application import Application
from services.shared.http.direct import Call, DirectRoutes, Reply
from services.shared.http.gate import openly
from services.shared.http.problem import ProblemError, unavailable
from services.shared.runtime.metrics import HttpMetrics

HEADERS = {"X-Correlation-ID": "mine"}


async def echo(call: Call) -> Reply:
    match call.rest:
        case "away":
            raise ConnectionError
        case "mistake":
            raise RuntimeError("hunter2")
        case "refused":
            raise ProblemError(409, "no", "not this one")
    return Reply(201, json.dumps([call.rest, call.body.decode(), call.correlation_id]).encode())


def explain(error: Exception) -> ProblemError | None:
    return unavailable("it") if isinstance(error, ConnectionError) else None


def client_and_registry(**context: Any) -> tuple[httpx.AsyncClient, CollectorRegistry]:
    registry = CollectorRegistry()
    direct = DirectRoutes()
    direct.add("POST", "/things", echo, explain)
    direct.add("GET", "/things/{name:path}", echo, explain)
    app = Application(direct, guard=None, context={"metrics": HttpMetrics(registry), **context})
    free = [openly("nobody is asked here")]
    app.get("/things/{name:path}", dependencies=free)(lambda name: 1 / 0)  # only described
    app.post("/things", dependencies=free)(lambda: 1 / 0)
    app.get("/health")(lambda: {"status": "ok"})
    app.get("/framed", dependencies=free)(lambda: {"framed": True})
    app.finish()
    transport = httpx.ASGITransport(app=app)
    return httpx.AsyncClient(transport=transport, base_url="http://x", headers=HEADERS), registry


async def test_a_direct_endpoint_gets_body_rest_of_the_path_and_ids() -> None:
    http, registry = client_and_registry()
    answer = await http.get("/things/a%2Fb/c")
    assert (answer.status_code, answer.json()) == (201, ["a/b/c", "", "mine"])
    assert (await http.post("/things", content=b"text")).json() == ["", "text", "mine"]
    assert answer.headers["x-correlation-id"] == "mine"
    labels = {"method": "GET", "route": "/things/{name:path}", "status": "201"}
    assert registry.get_sample_value("http_requests_total", labels) == 1


@pytest.mark.parametrize(
    ("rest", "status", "kind"),
    [("away", 503, "unavailable"), ("mistake", 500, "internal"), ("refused", 409, "no")],
)
async def test_what_a_direct_endpoint_raises_is_a_problem(
    rest: str, status: int, kind: str
) -> None:
    http, _ = client_and_registry()
    answer = await http.get(f"/things/{rest}")
    assert answer.status_code == status
    assert answer.json()["type"] == f"urn:millrace:problem:{kind}"
    assert answer.json()["correlation_id"] == answer.headers["x-correlation-id"] == "mine"
    assert "hunter2" not in answer.text


async def test_all_else_is_the_frameworks_and_has_the_same_context() -> None:
    http, _ = client_and_registry(max_body=3)
    framed = await http.get("/framed")
    assert (framed.json(), framed.headers["x-correlation-id"]) == ({"framed": True}, "mine")
    assert (await http.delete("/things/a")).headers["allow"] == "GET"
    assert (await http.post("/things", content=b"four")).status_code == 413


def test_a_template_that_cannot_be_found_by_its_beginning_is_refused() -> None:
    with pytest.raises(ValueError, match="ends in"):
        DirectRoutes().add("GET", "/things/{name}/parts", echo, explain)


@pytest.mark.parametrize(
    ("which", "lines"),
    [
        ("notable", ["/things/refused"]),
        ("all", ["/things/a", "/things/refused"]),
    ],
)
async def test_requests_that_went_well_are_logged_only_when_all_are(
    which: str, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = CapturingLogger()
    monkeypatch.setattr(books, "log", log)
    http, _ = client_and_registry(access_log=which)
    for path in ("/things/a", "/things/refused", "/health"):
        await http.get(path)
    assert [call.kwargs["path"] for call in log.calls] == lines

"""Health endpoints and the middleware around every request, on small applications."""

import asyncio
import json
import logging as stdlib_logging

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.types import Message

from services.shared.http import middleware as http
from services.shared.http import problem
from services.shared.http.health import Readiness, health_routes
from services.shared.postgres.database import is_unavailable
from services.shared.runtime import logging
from services.shared.runtime.metrics import HttpMetrics, new_registry
from services.shared.runtime.settings import SettingsError


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x")


def app_with(registry: CollectorRegistry, max_body: int = 100) -> FastAPI:
    app = FastAPI()
    http.install_problem_handlers(app)
    app.add_middleware(http.RequestContext, metrics=HttpMetrics(registry), max_body=max_body)
    return app


async def test_readiness_names_each_check_and_says_why_it_fails() -> None:
    readiness = Readiness(CollectorRegistry(), timeout=0.05)

    async def fine() -> None: ...

    async def broken() -> None:
        raise ConnectionRefusedError("10.0.0.1:5432")

    async def silent() -> None:
        await asyncio.Event().wait()

    readiness.add("fine", fine)
    assert await readiness.evaluate() == {"fine": "ok"}
    readiness.add("broken", broken)
    readiness.add("silent", silent)
    assert await readiness.evaluate() == {
        "fine": "ok",
        "broken": "ConnectionRefusedError",
        "silent": "no answer within 0.05 s",
    }


async def test_a_draining_service_is_alive_but_not_ready() -> None:
    registry = new_registry()
    readiness = Readiness(registry)
    app = Starlette(routes=health_routes("svc", readiness, registry))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        assert (await client.get("/ready")).status_code == 200
        readiness.drain()
        answer = await client.get("/ready")
        assert (answer.status_code, answer.json()["checks"]["shutdown"]) == (503, "shutting down")
        assert (await client.get("/health")).json() == {"status": "ok", "service": "svc"}
        metrics = await client.get("/metrics")
    assert "service_ready 0.0" in metrics.text
    assert "process_resident_memory_bytes" in metrics.text
    assert "_created" not in metrics.text


async def test_an_error_of_ours_is_a_500_problem_without_its_text() -> None:
    registry = CollectorRegistry()
    app = app_with(registry)

    async def fail() -> None:
        raise RuntimeError("hunter2")

    app.get("/fail/{what}")(fail)
    async with client_of(app) as client:
        answer = await client.get("/fail/a?x=1")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == problem.MEDIA_TYPE
    assert "hunter2" not in answer.text
    assert answer.json()["instance"] == "/fail/a"
    labels = {"method": "GET", "route": "/fail/{what}", "status": "500"}
    assert registry.get_sample_value("http_requests_total", labels) == 1


@pytest.mark.parametrize(
    ("size", "status", "all_read"),
    [(100, 200, True), (101, 413, True), (3200, 413, True), (3300, 413, False)],
)
async def test_a_body_is_held_to_its_limit_and_read_to_32_times_of_it(
    size: int, status: int, all_read: bool
) -> None:
    app = app_with(CollectorRegistry())

    async def take(body: dict[str, str]) -> None: ...

    app.post("/")(take)
    body = b'{"a":"' + b"x" * (size - 8) + b'"}'
    chunks = [body[start : start + 50] for start in range(0, size, 50)]
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "app": app,
    }
    await app(scope, receive, send)
    assert sent[0]["status"] == status
    assert (not chunks) == all_read


async def test_a_body_that_does_not_arrive_in_time_is_a_408_problem() -> None:
    app = FastAPI()
    http.install_problem_handlers(app)
    metrics = HttpMetrics(CollectorRegistry())
    app.add_middleware(http.RequestContext, metrics=metrics, body_seconds=0.01)
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "PUT", "path": "/", "query_string": b"", "headers": []}
    async with asyncio.timeout(60):
        await app(scope, receive, send)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert json.loads(sent[1]["body"])["type"].endswith("body-too-slow")


async def test_a_client_that_leaves_is_counted_and_not_answered() -> None:
    registry = CollectorRegistry()
    app = app_with(registry)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "PUT", "path": "/", "query_string": b"", "headers": []}
    await app(scope, receive, send)
    assert sent == []
    labels = {"method": "PUT", "route": "unmatched", "status": "499"}
    assert registry.get_sample_value("http_requests_total", labels) == 1


def test_logs_are_json_lines_with_service_and_ids(capsys: pytest.CaptureFixture[str]) -> None:
    from services.shared.runtime import context  # noqa: PLC0415 - bind() is what is tested here

    root = stdlib_logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        logging.configure("svc", "INFO")
        context.bind("order-1", context.TraceContext.new())
        logging.get_logger("a").info("ours", text="line\nbreak \ud800")
        stdlib_logging.getLogger("library").warning("theirs %s", 1)
        logging.get_logger("a").debug("unseen")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["ours", "theirs 1"]
    for line in lines:
        assert line["service"] == "svc"
        assert line["correlation_id"] == "order-1"
        assert len(line["trace_id"]) == 32


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (asyncpg.CannotConnectNowError("starting up"), True),
        (asyncpg.AdminShutdownError("terminated"), True),
        (asyncpg.TooManyConnectionsError("full"), True),
        (asyncpg.DiskFullError("full"), True),
        (asyncpg.InvalidPasswordError("rotated"), True),
        (asyncpg.ReadOnlySQLTransactionError("standby"), True),
        (asyncpg.InterfaceError("connection is closed"), True),
        (asyncpg.QueryCanceledError("timeout"), True),
        (SettingsError("no file"), True),
        (asyncpg.DataError("too long"), False),
        (asyncpg.UniqueViolationError("twice"), False),
        (asyncpg.UndefinedTableError("typo"), False),
        (asyncpg.PostgresSyntaxError("typo"), False),
        (ValueError(), False),
    ],
)
def test_a_database_that_is_away_is_told_from_a_statement_that_is_wrong(
    error: Exception, away: bool
) -> None:
    assert is_unavailable(error) is away

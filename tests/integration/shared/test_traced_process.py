"""A process as the cluster starts it, with a collector and none of its servers: what is told of its
requests, and that it ends in time whether the collector is there or not."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from services.shared.runtime.settings import DatabaseSettings
from tests.harness.collector import Receiver, receiver
from tests.harness.span_trees import drawn
from tests.harness.traces import CALLER, TRACE
from tests.integration.authority import Authority, eventually
from tests.integration.ingest_service import nowhere
from tests.integration.processes import ServiceProcess, environment

PATH = "/api/v1/resources"
Start = Callable[..., ServiceProcess]


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture
def start(authority: Authority, tmp_path: Path) -> Iterator[Start]:
    """`start(TRACING_…=…)`: a rest-service whose servers are all away."""
    started: list[ServiceProcess] = []

    def make(**more: object) -> ServiceProcess:
        away = nowhere.database(authority)
        others = {"DATA_STORE": away, "REDIS": nowhere.redis(authority)}
        variables = environment("rest-service", DatabaseSettings(**away), AUTH_MODE="off")
        variables |= {name: str(value) for name, value in more.items()}
        variables |= {
            f"{prefix}_{name}".upper(): str(value)
            for prefix, values in others.items()
            for name, value in values.items()
        }
        process = ServiceProcess("services.rest_service", variables, tmp_path / "log")
        started.append(process)
        return process

    yield make
    for process in started:
        process.kill()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30, headers={"traceparent": CALLER}) as client:
        yield client


async def healthy(process: ServiceProcess) -> bool:
    assert process.running(), process.log.read_text()[-3000:]
    return await process.get("/health") is not None


async def test_what_fails_is_told_with_the_reason_in_the_trace_and_the_log(
    start: Start, http: httpx.AsyncClient, collector: Receiver
) -> None:
    patient = {"TRACING_SHUTDOWN_SECONDS": 30, "TRACING_TIMEOUT_SECONDS": 30}
    process = start(**collector.variables(TRACING_POD="rest-1", **patient))
    await eventually(lambda: healthy(process))
    url = f"http://127.0.0.1:{process.port}{PATH}"
    assert (await http.post(url, json={"name": "a"})).status_code == 503
    assert process.terminate() == 0  # what is left is sent at the end
    request, connecting = f"rest-service: POST {PATH}", "rest-service: CONNECT nothing"
    assert drawn(collector.seen, TRACE) == f"{request}\n  {connecting}"
    failed = {one.title: one.says["error.type"] for one in collector.seen}
    assert failed == {request: "503", connecting: "ConnectionRefusedError"}
    assert collector.resource["k8s.pod.name"] == "rest-1"
    [made] = [one.span for one in collector.spans if one.title == request]
    lines = [line for line in process.log.read_text().splitlines() if TRACE in line]
    assert lines
    assert all(f'"span_id": "{made.span_id.hex()}"' in line for line in lines)


async def test_a_collector_that_is_away_holds_up_neither_requests_nor_the_end(
    start: Start, http: httpx.AsyncClient
) -> None:
    process = start(
        TRACING_ENDPOINT="http://127.0.0.1:9",
        TRACING_SHUTDOWN_SECONDS=0.5,
        TRACING_TIMEOUT_SECONDS=30,
        TRACING_DELAY_SECONDS=0.1,
    )
    await eventually(lambda: healthy(process))
    url = f"http://127.0.0.1:{process.port}/nowhere"
    for _ in range(300):
        assert (await http.get(url)).status_code == 404
    began = time.monotonic()
    assert process.terminate() == 0
    assert time.monotonic() - began < 20

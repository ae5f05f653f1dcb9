"""One trace from a request to both tables of points, by way of Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from services.contracts.topics import TELEMETRY_DEAD_LETTER, TELEMETRY_POINTS
from services.ingest_service.telemetry.endpoints import PATH
from tests.harness.collector import Receiver, receiver
from tests.harness.whole_paths import POINT, Caller
from tests.integration.authority import eventually
from tests.integration.ingest_service.telemetry.conftest import Databases, MakeProcess, point
from tests.integration.kafka_container import ASYNC_WRITER, CPU_WRITER, KafkaServer
from tests.integration.processes import ServiceProcess, environment
from tests.integration.tracing import services_that_logged, whole

WINDOWS = {
    "CPU_WRITER_WINDOW_SECONDS": 10,
    "CPU_WRITER_GRACE_SECONDS": 1,
    "CPU_WRITER_IDLE_SECONDS": 1,
}


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture
async def writers(
    databases: Databases, kafka_server: KafkaServer, collector: Receiver, tmp_path: Path
) -> AsyncIterator[list[ServiceProcess]]:
    """Both that read points."""
    started: list[ServiceProcess] = []
    for name, package in ((ASYNC_WRITER, "async_writer"), (CPU_WRITER, "cpu_writer")):
        variables = environment(
            name,
            databases.source,
            kafka_server.settings(name),
            DATABASE_POOL_SIZE=1,
            KAFKA_GROUP_ID=kafka_server.new_group([TELEMETRY_POINTS]),
            KAFKA_CLIENT_NAME=name,
            KAFKA_TOPICS=TELEMETRY_POINTS,
            KAFKA_DEAD_LETTER_TOPIC=TELEMETRY_DEAD_LETTER,
            **WINDOWS,
        )
        variables |= collector.variables()
        started.append(ServiceProcess(f"services.{package}", variables, tmp_path / package))
    try:
        for process in started:
            await eventually(process.ready)
        yield started
    finally:
        for process in started:
            process.kill()


async def test_a_point_is_one_trace_from_the_request_to_its_row_and_its_rollup(
    make_process: MakeProcess, writers: list[ServiceProcess], collector: Receiver
) -> None:
    ingest = await make_process(**collector.variables())
    caller = Caller.new()
    headers = {**ingest.headers, **caller.headers}
    async with httpx.AsyncClient(headers=headers, timeout=60) as http:
        body = {"points": [point(0), point(0, metric="pressure")]}  # of one device: one partition
        answer = await http.post(f"http://127.0.0.1:{ingest.port}{PATH}", json=body)
    assert answer.status_code == 202

    await whole(POINT, collector, caller)
    logs = [process.log for process in (ingest, *writers)]
    assert services_that_logged(caller.trace, logs) == set(POINT.services)

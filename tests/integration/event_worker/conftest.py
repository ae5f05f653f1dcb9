"""Workers as processes, each test with a database and a consumer group of its own."""

from __future__ import annotations

import itertools
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from services.contracts.topics import DEAD_LETTER
from services.shared.postgres.database import connect
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import PATIENCE
from tests.integration.conftest import MakeDatabase
from tests.integration.event_worker.messages import Rows, Sender
from tests.integration.kafka_container import TOPICS, WORKER, KafkaServer, Reader
from tests.integration.processes import ServiceProcess, environment

StartWorker = Callable[..., ServiceProcess]

UNHURRIED = {"KAFKA_SESSION_TIMEOUT_MS": 60_000}
"""For tests that count rebalances or messages: a member that gets no time for the six seconds of a
session loses its partitions, and rightly reads again what it had not committed."""


@pytest.fixture
async def workerdb(make_database: MakeDatabase) -> DatabaseSettings:
    return await make_database("workerdb")


@pytest.fixture
async def rows(workerdb: DatabaseSettings) -> AsyncIterator[Rows]:
    connection = await connect(workerdb, "test-rows", connect_timeout=PATIENCE)
    yield Rows(connection)
    await connection.close()


@pytest.fixture
def sender(kafka_server: KafkaServer) -> Sender:
    return Sender(kafka_server)


@pytest.fixture
def group(kafka_server: KafkaServer) -> str:
    """A group whose next message is the first one of this test."""
    return kafka_server.new_group()


@pytest.fixture
def start_worker(
    workerdb: DatabaseSettings, kafka_server: KafkaServer, group: str, tmp_path: Path
) -> Iterator[StartWorker]:
    """`start_worker(name, WORKER_…=…)`: a worker; the same name is the same static member."""
    started: list[ServiceProcess] = []
    numbers = itertools.count(1)

    def start(name: str = "worker-1", **more: object) -> ServiceProcess:
        variables = environment(
            "event-worker",
            workerdb,
            kafka_server.settings(WORKER),
            **{
                "KAFKA_GROUP_ID": group,
                "KAFKA_GROUP_INSTANCE_ID": name,
                "KAFKA_TOPICS": ",".join(TOPICS),
                "KAFKA_DEAD_LETTER_TOPIC": DEAD_LETTER,
                "KAFKA_SESSION_TIMEOUT_MS": 6000,
                "WORKER_GAP_CHECK_SECONDS": 0.5,
            }
            | more,
        )
        process = ServiceProcess(
            "services.event_worker", variables, tmp_path / f"{name}-{next(numbers)}.log"
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        # Shown with a test that failed; its folder is gone after a few more runs.
        sys.stdout.write(f"{process.log.name}, its end:\n{process.log.read_text()[-6000:]}\n")


@pytest.fixture
def dead_letters(kafka_server: KafkaServer) -> Iterator[Reader]:
    reader = kafka_server.reader([DEAD_LETTER])
    yield reader
    reader.close()

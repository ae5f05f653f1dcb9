"""Relays as processes, and an outbox for each test."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.outbox_relay.store import PLANNER
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import PATIENCE
from tests.integration.kafka_container import RELAY, KafkaServer, Reader
from tests.integration.outbox_relay.hand import CountingDatabase
from tests.integration.outbox_relay.outbox import Outbox
from tests.integration.processes import ServiceProcess, environment

StartRelay = Callable[..., ServiceProcess]


@pytest.fixture
async def outbox(restdb: DatabaseSettings) -> AsyncIterator[Outbox]:
    made = await Outbox.open(restdb)
    yield made
    await made.connection.close()


@pytest.fixture
def start_relay(
    restdb: DatabaseSettings, kafka_server: KafkaServer, tmp_path: Path
) -> Iterator[StartRelay]:
    """`start_relay(RELAY_…=…)`: another relay of this test's outbox, with a short lease."""
    started: list[ServiceProcess] = []
    numbers = itertools.count(1)

    def start(**more: object) -> ServiceProcess:
        number = next(numbers)
        variables = environment(
            "outbox-relay-rest",
            restdb,
            kafka_server.settings(RELAY),
            RELAY_ID=f"relay-{number}",
            **{
                "RELAY_LEASE_TTL_SECONDS": 3,
                "RELAY_MESSAGE_TIMEOUT_MS": 1000,
                "RELAY_BACKLOG_INTERVAL_SECONDS": 0.5,
            }
            | more,
        )
        process = ServiceProcess(
            "services.outbox_relay", variables, tmp_path / f"relay-{number}.log"
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def reader(kafka_server: KafkaServer) -> Iterator[Reader]:
    made = kafka_server.reader()
    yield made
    made.close()


@pytest.fixture
async def database(restdb: DatabaseSettings) -> AsyncIterator[CountingDatabase]:
    made = CountingDatabase(
        restdb,
        CollectorRegistry(),
        application_name="test",
        connect_timeout=PATIENCE,
        acquire_timeout=30.0,
        command_timeout=30.0,
        server_settings=PLANNER,
    )
    made.statements = []
    await made.open()
    yield made
    await made.close()

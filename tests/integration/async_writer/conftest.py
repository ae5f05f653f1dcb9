"""Writers as processes, each test with a database and a consumer group of its own."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from services.contracts.topics import TELEMETRY_DEAD_LETTER, TELEMETRY_POINTS
from services.migrate.engines import ENGINES
from services.migrate.runner import migrate
from services.provision.mysql import provision
from services.shared.kafka.clients import consumer_config
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.async_writer.points import Sender, Table
from tests.integration.kafka_container import ASYNC_WRITER, KafkaServer, Reader
from tests.integration.processes import ServiceProcess, environment
from tests.integration.servers import MySQLServer

StartWriter = Callable[..., ServiceProcess]

UNHURRIED = {"KAFKA_SESSION_TIMEOUT_MS": 60_000}
"""For tests that count rebalances or messages: a member that gets no time for the six seconds of a
session loses its partitions, and rightly reads again what it had not committed."""

_numbers = itertools.count(1)


@pytest.fixture
async def healthy_mysql(mysql: MySQLServer) -> AsyncIterator[MySQLServer]:
    """For tests that stop the server: it runs again afterwards, whatever they did."""
    yield mysql
    mysql.container.unpause()
    mysql.container.start()
    await mysql.wait()


@pytest.fixture
async def telemetry(mysql: MySQLServer) -> AsyncIterator[DatabaseSettings]:
    made = mysql.database(f"telemetry_{next(_numbers)}")
    await provision(mysql.spec(made))
    for account in (made.user, made.owner):
        await mysql.as_admin(f"ALTER USER '{account.name}'@'%' ATTRIBUTE '{{\"millrace\": null}}'")
    owner = mysql.settings(made.name, made.owner.name, made.owner.password_file)
    await migrate(made.name, "async_writer", owner, ENGINES["mysql"])
    yield mysql.settings(made.name, made.user.name, made.user.password_file)
    await mysql.wait()
    await mysql.as_admin(f"DROP DATABASE {made.name}")


@pytest.fixture
def table(mysql: MySQLServer, telemetry: DatabaseSettings) -> Table:
    return Table(mysql, telemetry.name)


@pytest.fixture
def sender(kafka_server: KafkaServer) -> Sender:
    return Sender(kafka_server)


@pytest.fixture
def group(kafka_server: KafkaServer) -> str:
    """A group whose next message is the first one of this test."""
    return kafka_server.new_group([TELEMETRY_POINTS])


@pytest.fixture
def start_writer(
    telemetry: DatabaseSettings, kafka_server: KafkaServer, group: str, tmp_path: Path
) -> Iterator[StartWriter]:
    """`start_writer(name, ASYNC_WRITER_…=…)`: a writer."""
    started: list[ServiceProcess] = []
    numbers = itertools.count(1)

    def start(name: str = "writer-1", **more: object) -> ServiceProcess:
        variables = environment(
            "async-writer",
            telemetry,
            kafka_server.settings(ASYNC_WRITER),
            **{
                "DATABASE_POOL_SIZE": 2,
                "KAFKA_GROUP_ID": group,
                "KAFKA_CLIENT_NAME": name,
                "KAFKA_TOPICS": TELEMETRY_POINTS,
                "KAFKA_DEAD_LETTER_TOPIC": TELEMETRY_DEAD_LETTER,
                "KAFKA_SESSION_TIMEOUT_MS": 6000,
                "ASYNC_WRITER_HANDOVER_SECONDS": 2,
            }
            | more,
        )
        process = ServiceProcess(
            "services.async_writer", variables, tmp_path / f"{name}-{next(numbers)}.log"
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def dead_letters(kafka_server: KafkaServer) -> Iterator[Reader]:
    reader = kafka_server.reader([TELEMETRY_DEAD_LETTER])
    yield reader
    reader.close()


async def commit(server: KafkaServer, group: str, offsets: dict[tuple[str, int], int]) -> bool:
    """Whether these are the group's offsets now: once it has noticed that its member is gone."""
    config = consumer_config(
        server.settings(ASYNC_WRITER),
        "tester",
        group_id=group,
        group_instance_id=None,
        session_timeout_ms=6000,
    )
    consumer = Consumer(config)
    places = [TopicPartition(topic, part, at) for (topic, part), at in offsets.items()]
    try:
        await asyncio.to_thread(consumer.commit, offsets=places, asynchronous=False)
    except KafkaException:
        return False
    finally:
        consumer.close()
    return server.committed(group, [TELEMETRY_POINTS]) == offsets


async def committed(server: KafkaServer, group: str, messages: int) -> bool:
    """Whether the group has come so far in all partitions together: what is committed has also been
    counted."""
    return sum(server.committed(group, [TELEMETRY_POINTS]).values()) == messages


async def assigned(writer: ServiceProcess, partitions: int = 1) -> bool:
    return await writer.metric("kafka_consumer_assigned_partitions") >= partitions


async def retried(writer: ServiceProcess, times: float) -> bool:
    return await writer.metric("kafka_consumer_batch_retries_total") >= times

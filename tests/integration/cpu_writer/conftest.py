"""Writers as processes, each test with a database and a consumer group of its own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from services.contracts.topics import TELEMETRY_POINTS
from services.migrate.engines import ENGINES
from services.migrate.runner import migrate
from services.provision.mysql import provision
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.cpu_writer.points import GRACE, WINDOW, Sender, Tables
from tests.integration.kafka_container import CPU_WRITER, KafkaServer
from tests.integration.processes import ServiceProcess, environment
from tests.integration.servers import MySQLServer

StartWriter = Callable[..., ServiceProcess]

UNHURRIED = {"KAFKA_SESSION_TIMEOUT_MS": 60_000}
"""For tests that count rebalances or windows: a member that gets no time for the six seconds of a
session loses its partitions, and whoever has them next writes again what was not committed."""
BY_POINTS = {"CPU_WRITER_IDLE_SECONDS": 3600}
"""For tests that send points of one window at several times: however long it is until the next ones
come, a window is over when a point says so (`Sender.end`)."""

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
    made = mysql.database(f"rollups_{next(_numbers)}")
    await provision(mysql.spec(made))
    for account in (made.user, made.owner):
        await mysql.as_admin(f"ALTER USER '{account.name}'@'%' ATTRIBUTE '{{\"millrace\": null}}'")
    owner = mysql.settings(made.name, made.owner.name, made.owner.password_file)
    await migrate(made.name, "async_writer", owner, ENGINES["mysql"])
    yield mysql.settings(made.name, made.user.name, made.user.password_file)
    await mysql.wait()
    await mysql.as_admin(f"DROP DATABASE {made.name}")


@pytest.fixture
def tables(mysql: MySQLServer, telemetry: DatabaseSettings) -> Tables:
    return Tables(mysql, telemetry.name)


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
    """`start_writer(name, CPU_WRITER_…=…)`: a writer of windows of WINDOW seconds."""
    started: list[ServiceProcess] = []
    numbers = itertools.count(1)

    def start(name: str = "writer-1", **more: object) -> ServiceProcess:
        variables = environment(
            "cpu-writer",
            telemetry,
            kafka_server.settings(CPU_WRITER),
            **{
                "DATABASE_POOL_SIZE": 1,
                "KAFKA_GROUP_ID": group,
                "KAFKA_CLIENT_NAME": name,
                "KAFKA_TOPICS": TELEMETRY_POINTS,
                "KAFKA_SESSION_TIMEOUT_MS": 6000,
                "CPU_WRITER_WINDOW_SECONDS": WINDOW,
                "CPU_WRITER_GRACE_SECONDS": GRACE,
                "CPU_WRITER_IDLE_SECONDS": 1,
                "CPU_WRITER_PROCESSES": 2,
                "CPU_WRITER_COMMIT_SECONDS": 0.5,
                "CPU_WRITER_HANDOVER_SECONDS": 2,
            }
            | more,
        )
        process = ServiceProcess(
            "services.cpu_writer", variables, tmp_path / f"{name}-{next(numbers)}.log"
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()

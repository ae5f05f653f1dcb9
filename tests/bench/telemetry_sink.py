"""Points from Kafka into MySQL: async-writer beside Kafka Connect with Debezium's JDBC sink.

One process of each, one after the other, on the same backlog and the same server, twice. A side's
rate is counted between the first tenth of the rows and the last, so that nobody is charged for
starting; what it used of the processor likewise. At the end of each the table has to hold every
point, with its value.
"""

# ruff: noqa: T201

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.contracts.topics import TELEMETRY_DEAD_LETTER, TELEMETRY_POINTS
from services.migrate.engines import ENGINES
from services.migrate.runner import migrate
from services.provision.kafka import provision as provision_kafka
from services.provision.mysql import provision as provision_mysql
from services.provision.spec import TopicSpec
from services.shared.runtime.settings import DatabaseSettings
from tests.bench import jdbc_sink
from tests.bench.machine import Report, processor_seconds
from tests.bench.statements import WrongCountError, container_seconds
from tests.integration.containers import Containers
from tests.integration.kafka_container import PARTITIONS, KafkaServer, start_kafka
from tests.integration.mysql_container import MySQLServer, start_mysql
from tests.integration.ports import free_port
from tests.integration.processes import ServiceProcess, environment
from tests.integration.servers import Authority

POINTS = 200_000
DEVICES = 1_000
ROUNDS = 2
PATIENCE_SECONDS = 600
WRITER, SINK = "async-writer", "jdbc-sink"


@dataclass
class Ground:
    """The servers both sides stand on, with the backlog in them."""

    kafka: KafkaServer
    mysql: MySQLServer
    database: DatabaseSettings
    number: int

    async def rows(self) -> int:
        [row] = await self.mysql.as_admin("SELECT count(*) AS n FROM telemetry", self.database.name)
        return row["n"]

    async def empty(self) -> None:
        await self.mysql.as_admin("TRUNCATE telemetry", self.database.name)

    async def check(self, side: str) -> None:
        """Raises WrongCountError unless every point is there with its value."""
        [row] = await self.mysql.as_admin(
            "SELECT count(*) AS n, sum(value) AS total FROM telemetry", self.database.name
        )
        wanted = sum(range(self.number))
        if (row["n"], row["total"]) != (self.number, wanted):
            raise WrongCountError(
                f"{side}: the table has {row['n']:,} points that add up to {row['total']}, not"
                f" {self.number:,} that add up to {wanted}"
            )


def _fill(kafka: KafkaServer, number: int) -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    producer = kafka.producer(**{"queue.buffering.max.messages": number})
    for n in range(number):
        device = f"device-{n % DEVICES}"
        ts = began + timedelta(seconds=n // DEVICES)
        point = {
            "device_id": device,
            "metric": "rx_errors",
            "ts": f"{ts:%Y-%m-%dT%H:%M:%S.%f}Z",
            "value": float(n),
            "version": n + 1,
        }
        producer.produce(TELEMETRY_POINTS, key=device, value=json.dumps(point))
        producer.poll(0)
    producer.flush(120)


async def _ground(containers: Containers, folder: Path, number: int) -> Ground:
    authority = Authority.make(folder)
    kafka, mysql = start_kafka(containers, authority), start_mysql(containers, authority)
    topics = [
        TopicSpec(name=name, partitions=PARTITIONS, replication_factor=1, config={})
        for name in (TELEMETRY_POINTS, TELEMETRY_DEAD_LETTER)
    ]
    names = [topic.name for topic in topics]
    groups = [f"{name}-{n}" for name in (WRITER, f"connect-{SINK}") for n in range(ROUNDS)]
    users = [
        kafka.user("tester", produce=names, consume=names, groups=[*groups, "reader"]),
    ]
    await asyncio.to_thread(
        provision_kafka, kafka.spec(topics, users), wait_seconds=PATIENCE_SECONDS
    )
    await mysql.wait()
    made = mysql.database("telemetry")
    await provision_mysql(mysql.spec(made))
    owner = mysql.settings(made.name, made.owner.name, made.owner.password_file)
    await migrate(made.name, "async_writer", owner, ENGINES["mysql"])
    await asyncio.to_thread(_fill, kafka, number)
    user = mysql.settings(made.name, made.user.name, made.user.password_file)
    return Ground(kafka, mysql, user, number)


async def _measured(
    ground: Ground, side: str, report: Report, used: Callable[[], float], log: Path
) -> None:
    """Wait until every row is there; says how fast they came after the first tenth."""

    async def reached(number: int) -> tuple[float, float, float, int]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (rows := await ground.rows()) < number:
            if time.monotonic() > deadline:
                raise WrongCountError(f"{side} did not get there: {log.read_text()[-3000:]}")
            await asyncio.sleep(0.1)
        return time.monotonic(), used(), container_seconds(ground.mysql.container), rows

    first = await reached(ground.number // 10)
    last = await reached(ground.number)
    rows = last[3] - first[3]
    report.add(
        side,
        rows_per_second=round(rows / (last[0] - first[0])),
        us_of_processor_per_row=round((last[1] - first[1]) / rows * 1e6, 1),
        mysql_us_per_row=round((last[2] - first[2]) / rows * 1e6, 1),
    )
    await ground.check(side)
    await ground.empty()


async def _ours(ground: Ground, report: Report, folder: Path, number: int) -> None:
    variables = environment(
        WRITER,
        ground.database,
        ground.kafka.settings("tester"),
        KAFKA_GROUP_ID=f"{WRITER}-{number}",
        KAFKA_TOPICS=TELEMETRY_POINTS,
        KAFKA_DEAD_LETTER_TOPIC=TELEMETRY_DEAD_LETTER,
        KAFKA_RETENTION_HOURS=168,
        DATABASE_POOL_SIZE=2,
    )
    log = folder / f"{WRITER}-{number}.log"
    writer = ServiceProcess("services.async_writer", variables, log)
    try:
        await _measured(ground, WRITER, report, lambda: processor_seconds(writer.pid), log)
    finally:
        writer.kill()


async def _rival(ground: Ground, report: Report, folder: Path, number: int) -> None:
    here = folder / f"connect-{number}"
    libraries = jdbc_sink.jars()
    kafka = ground.kafka.settings("tester")
    process = jdbc_sink.start(
        libraries, kafka, ground.database, here, name=f"{SINK}-{number}", port=free_port()
    )
    try:
        side = "Kafka Connect, Debezium's JDBC sink"
        log = here / "connect.log"
        await _measured(ground, side, report, lambda: processor_seconds(process.pid), log)
    finally:
        process.kill()
        process.wait()


async def _bench(containers: Containers, folder: Path, report: Report, number: int) -> None:
    ground = await _ground(containers, folder, number)
    for n in range(ROUNDS):
        await _ours(ground, report, folder, n)
        await _rival(ground, report, folder, n)


def run(number: int = POINTS) -> int:
    """Both sides, in turns."""
    report = Report("telemetry-sink")
    containers = Containers()
    try:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(_bench(containers, Path(folder), report, number))
    except WrongCountError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        containers.close()
    return report.close()

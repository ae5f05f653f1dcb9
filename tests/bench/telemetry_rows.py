"""Points into MySQL: a batch by one statement, and what becomes of the same batch otherwise.

One connection and one thread at a time, all ways in turns on the same server over TLS: new points,
then each of them again with a newer version. Beside the rate stand the statements that the server
counted, and the processor time of this process for each row, hardly changed by what else runs.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.async_writer.points import Point
from services.async_writer.statement import upsert
from services.migrate.engines import ENGINES
from services.migrate.runner import migrate
from services.provision.mysql import provision
from services.shared.mysql.blocking import Connection, connect
from services.shared.runtime.settings import DatabaseSettings
from tests.bench.machine import Report
from tests.integration.containers import Containers
from tests.integration.servers import Authority, start_mysql

BATCH = 500
START = datetime(2026, 1, 1, tzinfo=UTC)
_TAIL = (
    " AS fresh ON DUPLICATE KEY UPDATE"
    " value = IF(fresh.version > telemetry.version, fresh.value, telemetry.value),"
    " version = GREATEST(fresh.version, telemetry.version)"
)
_INTO = "INSERT INTO telemetry (device_id, metric, ts, value, version) VALUES "
# The driver joins rows to one statement only where the tuple holds nothing but placeholders.
JOINED = f"{_INTO}(%s, %s, %s, %s, %s){_TAIL}"
FALLS_APART = f"{_INTO}(%s, %s, TIMESTAMP(%s), %s, %s){_TAIL}"


@dataclass(frozen=True)
class Way:
    """How a batch is written, and how many of them are enough to tell."""

    name: str
    write: Callable[[Connection, Sequence[Point]], object]
    batches: int


def _one_statement(connection: Connection, points: Sequence[Point]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(upsert(points))


def _many(statement: str) -> Callable[[Connection, Sequence[Point]], object]:
    def write(connection: Connection, points: Sequence[Point]) -> None:
        connection.begin()
        with connection.cursor() as cursor:
            cursor.executemany(statement, [_row(point) for point in points])
        connection.commit()

    return write


def _row_by_row(connection: Connection, points: Sequence[Point]) -> None:
    with connection.cursor() as cursor:
        for point in points:
            cursor.execute(JOINED, _row(point))


def _row(point: Point) -> tuple[object, ...]:
    device, metric, ts = point.key
    return device, metric, ts.replace(tzinfo=None), point.value, point.version


WAYS = (
    Way("one statement for 500", _one_statement, 40),
    Way("executemany, joined by the driver", _many(JOINED), 40),
    Way("executemany that falls apart, one transaction", _many(FALLS_APART), 6),
    Way("row by row, a transaction each", _row_by_row, 2),
)


def _batch(way: int, number: int, version: int) -> list[Point]:
    return [
        Point(
            (f"device-{way}-{row:04}", "temperature", START + timedelta(seconds=number)),
            row / 7,
            version,
            None,
        )
        for row in range(BATCH)
    ]


def _inserts(connection: Connection) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SHOW SESSION STATUS LIKE 'Com_insert'")
        return int(cursor.fetchall()[0][1])


def _measure(report: Report, settings: DatabaseSettings, place: int, version: int) -> None:
    way = WAYS[place]
    connection = connect(settings, "bench", connect_timeout=30, command_timeout=60)
    batches = [_batch(place, number, version) for number in range(way.batches)]
    before, processor = _inserts(connection), time.process_time()
    began = time.perf_counter()
    for batch in batches:
        way.write(connection, batch)
    took, processor = time.perf_counter() - began, time.process_time() - processor
    rows = way.batches * BATCH
    report.add(
        f"{way.name}, {'new points' if version == 1 else 'newer versions'}",
        rows_per_second=round(rows / took),
        processor_us_per_row=round(processor / rows * 1e6, 1),
        statements_per_batch=round((_inserts(connection) - before) / way.batches, 1),
    )
    connection.close()


async def _bench() -> int:
    report = Report("telemetry-rows")
    containers = Containers()
    try:
        with tempfile.TemporaryDirectory() as folder:
            server = start_mysql(containers, Authority.make(Path(folder)))
            await server.wait()
            made = server.database("telemetry")
            await provision(server.spec(made))
            owner = server.settings(made.name, made.owner.name, made.owner.password_file)
            await migrate(made.name, "async_writer", owner, ENGINES["mysql"])
            settings = server.settings(made.name, made.user.name, made.user.password_file)
            for version in (1, 2):
                for place in range(len(WAYS)):
                    await asyncio.to_thread(_measure, report, settings, place, version)
    finally:
        containers.close()
    return report.close()


def run() -> int:
    """All ways in turns, twice."""
    return asyncio.run(_bench())

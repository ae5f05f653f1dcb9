"""How fast documents come from the stream into PostgreSQL that flushes its log 100 times a second.

First a backlog, emptied by one process of stream-writer as the cluster runs it: within its budget
of 80 commits a second, settling included; who has used how much of the processor is said. Then the
statement alone against its rivals, see `statements`. At the end of each the table has to hold what
was acknowledged, neither more nor less.
"""

# ruff: noqa: T201

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from infra.model.records import RECORDS
from services.migrate.engines import ENGINES
from services.migrate.runner import migrate
from services.shared.runtime.settings import DatabaseSettings
from services.shared.stream import names
from services.shared.stream.accept import Accepted, StreamInlet
from tests.bench import statements
from tests.bench.machine import Report, processor_seconds
from tests.bench.statements import (
    WrongCountError,
    check_rows,
    container_seconds,
    document,
    flushes,
)
from tests.integration.containers import Containers
from tests.integration.ingest_service.stream_server import IngestRedis, start_stream
from tests.integration.processes import ServiceProcess, environment
from tests.integration.redis_users import TESTER
from tests.integration.servers import Authority, PostgresServer, eventually, start_postgres

BACKLOG = 100_000
FLUSHES = 100
ROUNDS = 2


async def _fill(stream: IngestRedis, number: int) -> None:
    redis = stream.tester(30)
    inlet = StreamInlet(redis, 10 * number)
    for _ in range(number // 500):
        made = [document() for _ in range(500)]
        await inlet.accept([Accepted(name, text.encode()) for name, text in made])
    await redis.aclose()


async def _writer(
    stream: IngestRedis,
    postgres: PostgresServer,
    database: DatabaseSettings,
    folder: Path,
    report: Report,
    number: int,
) -> None:
    await _fill(stream, number)
    redis = stream.tester(30)
    variables = environment("stream-writer", database) | stream.variables("REDIS_STREAM")
    variables |= {"REDIS_STREAM_USERNAME": TESTER, "WRITER_ID": "bench"}
    flushed = await flushes(postgres)
    writer = ServiceProcess("services.stream_writer", variables, folder / "writer.log")

    def used() -> list[float]:
        servers = (stream.container, postgres.container)
        return [processor_seconds(writer.pid), *map(container_seconds, servers)]

    try:
        await eventually(writer.ready)
        # From when it has begun: what it takes to start is not what is asked.
        commits, spent = await writer.metric("writer_commits_total"), used()
        before, since = await redis.xlen(names.STREAM), time.monotonic()
        while await redis.xlen(names.STREAM):
            assert time.monotonic() < since + 120, "the writer did not keep up"
            await asyncio.sleep(0.02)
        seconds = time.monotonic() - since
        assert before > number / 2, "the backlog was too small to measure anything"
        each = [(now - then) / before * 1e6 for now, then in zip(used(), spent, strict=True)]
        all_commits = await writer.metric("writer_commits_total")
        refused, written = await redis.xlen(names.DEAD), await _written(writer)
        writer.terminate()
        if refused:
            raise WrongCountError(
                f"stream-writer: {refused:,} of {number:,} documents were refused and are dead"
                f" letters; the writer's log says why: {writer.log.read_text()[-1000:]}"
            )
        await check_rows(postgres, database.name, number, "stream-writer")
        if written != number:
            raise WrongCountError(
                f"stream-writer: it says that it wrote {written:,} of {number:,} documents"
            )
        report.add(
            "stream-writer, from the stream",
            documents_per_second=round(before / seconds, 1),
            commits_per_second=round((all_commits - commits) / seconds, 1),
            documents_per_commit=round(number / all_commits, 1),
            flushes_in_all=await flushes(postgres) - flushed,
            writer_us_each=round(each[0], 1),
            redis_us_each=round(each[1], 1),
            postgres_us_each=round(each[2], 1),
        )
    finally:
        writer.kill()
        await redis.aclose()


async def _written(writer: ServiceProcess) -> int:
    """The metric follows the commit, and the entries are taken out after both."""
    return round(await writer.metric('writer_documents_total{outcome="written"}'))


async def _bench(containers: Containers, folder: Path, report: Report, number: int) -> None:
    authority = Authority.make(folder)
    stream = start_stream(containers, authority, max_memory=900 * 2**20)
    postgres = start_postgres(containers, authority, flushes_per_second=FLUSHES)
    for server in (stream, postgres):
        await server.wait()
    database = await postgres.provision("datadb_bench")
    await migrate("datadb", RECORDS.owner("datadb"), database, ENGINES["postgres"])
    for _ in range(ROUNDS):
        await postgres.as_admin("TRUNCATE documents", database.name)
        await _writer(stream, postgres, database, folder, report, number)
    await statements.measure(postgres, database, report, number)


def run(number: int = BACKLOG) -> int:
    """The writer, then the statements."""
    report = Report("stream-to-store")
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

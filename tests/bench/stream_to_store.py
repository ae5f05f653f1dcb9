"""How fast documents come from the stream into PostgreSQL that flushes its log 100 times a second.

First a backlog, emptied by one process of stream-writer as the cluster runs it: within its budget
of 80 commits a second, settling included. Then the statement alone against its rivals, over four
connections each: the same upsert from arrays, COPY into a temporary table and a merge from there,
and what there would be without batches, one INSERT per document over 64 connections.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
from prometheus_client import CollectorRegistry

from infra.model.records import RECORDS
from services.contracts.ids import new_id
from services.migrate.engines import ENGINES
from services.migrate.runner import migrate
from services.shared.postgres.database import Database, connect
from services.shared.runtime.settings import DatabaseSettings
from services.shared.stream import names
from services.shared.stream.accept import Accepted, StreamInlet
from services.stream_writer.entries import Entry
from services.stream_writer.store import DocumentStore
from tests.bench.machine import Report, processor_seconds
from tests.integration.containers import Containers
from tests.integration.ingest_service.stream_server import IngestRedis, start_stream
from tests.integration.processes import ServiceProcess, environment
from tests.integration.redis_users import TESTER
from tests.integration.servers import Authority, PostgresServer, eventually, start_postgres

BACKLOG = 100_000
BATCH = 1000
CONNECTIONS = 4
FLUSHES = 100
_MERGE = """
INSERT INTO documents AS stored (id, document, entry_ms, entry_seq)
SELECT id, document::jsonb, entry_ms, entry_seq FROM incoming ORDER BY id
ON CONFLICT (id) DO UPDATE
SET document = excluded.document, entry_ms = excluded.entry_ms, entry_seq = excluded.entry_seq,
    updated_at = now()
WHERE (excluded.entry_ms, excluded.entry_seq) > (stored.entry_ms, stored.entry_seq)
"""
_TEMPORARY = """
CREATE TEMPORARY TABLE IF NOT EXISTS incoming
    (id text, document text, entry_ms bigint, entry_seq bigint) ON COMMIT DELETE ROWS
"""
_ONE = """
INSERT INTO documents (id, document, entry_ms, entry_seq) VALUES ($1, $2::jsonb, 1, 1)
"""

Step = Callable[[], Awaitable[int]]


def _document() -> tuple[str, str]:
    name = new_id()
    text = f'{{"id": "{name}", "name": "sensor", "number": 42, "text": "'
    return name, text + "x" * (254 - len(text)) + '"}'


async def _fill(stream: IngestRedis) -> None:
    redis = stream.tester(30)
    inlet = StreamInlet(redis, 10 * BACKLOG)
    for _ in range(BACKLOG // 500):
        made = [_document() for _ in range(500)]
        await inlet.accept([Accepted(name, text.encode()) for name, text in made])
    await redis.aclose()


async def _writer(
    stream: IngestRedis, database: DatabaseSettings, folder: Path, report: Report
) -> None:
    await _fill(stream)
    redis = stream.tester(30)
    variables = environment("stream-writer", database) | stream.variables("REDIS_STREAM")
    variables |= {"REDIS_STREAM_USERNAME": TESTER, "WRITER_ID": "bench"}
    writer = ServiceProcess("services.stream_writer", variables, folder / "writer.log")
    try:
        await eventually(writer.ready)
        # From when it has begun: what it takes to start is not what is asked.
        before, since = await redis.xlen(names.STREAM), time.monotonic()
        spent = processor_seconds(writer.pid)
        commits = await writer.metric("writer_commits_total")
        while await redis.xlen(names.STREAM):
            assert time.monotonic() < since + 120, "the writer did not keep up"
            await asyncio.sleep(0.02)
        seconds = time.monotonic() - since
        spent = processor_seconds(writer.pid) - spent
        commits = await writer.metric("writer_commits_total") - commits
        report.add(
            "stream-writer, from the stream",
            documents_per_second=round(before / seconds, 1),
            commits_per_second=round(commits / seconds, 1),
            processor_us_each=round(spent / before * 1e6, 1),
        )
    finally:
        writer.kill()
        await redis.aclose()


async def _for_seconds(side: str, seconds: float, steps: list[Step], report: Report) -> None:
    """Each of `steps` again and again, all at the same time."""
    done, until = 0, time.monotonic() + seconds

    async def repeat(step: Step) -> None:
        nonlocal done
        while time.monotonic() < until:
            done += await step()

    since = time.monotonic()
    await asyncio.gather(*map(repeat, steps))
    rate = done / (time.monotonic() - since)
    report.add(side, documents_per_second=round(rate, 1))


def _upsert(store: DocumentStore) -> Step:
    async def step() -> int:
        made = sorted(_document() for _ in range(BATCH))
        return await store.write([Entry(name, name, text, (1, 1)) for name, text in made])

    return step


async def _copy(connection: asyncpg.Connection) -> Step:
    await connection.execute(_TEMPORARY)

    async def step() -> int:
        rows = sorted((*_document(), 1, 1) for _ in range(BATCH))
        async with connection.transaction():
            await connection.copy_records_to_table("incoming", records=rows)
            await connection.execute(_MERGE)
        return BATCH

    return step


def _one(connection: asyncpg.Connection) -> Step:
    async def step() -> int:
        await connection.execute(_ONE, *_document())
        return 1

    return step


async def _statements(
    server: PostgresServer, settings: DatabaseSettings, report: Report, seconds: float
) -> None:
    database = Database(settings, CollectorRegistry(), application_name="bench")
    await database.open()
    connections = [await connect(settings, "bench") for _ in range(64)]
    try:
        store = DocumentStore(database)
        sides = (
            ("upsert from arrays of 1,000", [_upsert(store) for _ in range(CONNECTIONS)]),
            ("COPY and merge of 1,000", [await _copy(one) for one in connections[:CONNECTIONS]]),
            ("one INSERT per document, 64 connections", [_one(one) for one in connections]),
        )
        for side, steps in sides:
            await server.as_admin("TRUNCATE documents", settings.name)
            await _for_seconds(side, seconds, list(steps), report)
    finally:
        for one in connections:
            await one.close()
        await database.close()


async def _bench(containers: Containers, folder: Path, report: Report, seconds: float) -> None:
    authority = Authority.make(folder)
    stream = start_stream(containers, authority, max_memory=900 * 2**20)
    postgres = start_postgres(containers, authority, flushes_per_second=FLUSHES)
    for server in (stream, postgres):
        await server.wait()
    database = await postgres.provision("datadb_bench")
    await migrate("datadb", RECORDS.owner("datadb"), database, ENGINES["postgres"])
    await _writer(stream, database, folder, report)
    await _statements(postgres, database, report, seconds)


def run(seconds: float = 5) -> int:
    """The writer, then the statements."""
    report = Report("stream-to-store")
    containers = Containers()
    try:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(_bench(containers, Path(folder), report, seconds))
    finally:
        containers.close()
    report.close()
    return 0

"""What brings documents into PostgreSQL: the writer's statement, and its rivals.

The upsert from arrays as the writer has it, COPY into a temporary table and a merge from there, and
what there would be without batches: one INSERT per document from many connections, which share the
flushes of the log. Each takes as many documents as it is given, and is asked how long that took.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import asyncpg

from services.contracts.ids import new_id
from services.shared.postgres.database import connect
from services.shared.runtime.settings import DatabaseSettings
from services.stream_writer.store import UPSERT
from tests.bench.machine import Report
from tests.integration.containers import Container
from tests.integration.servers import PostgresServer

BATCH = 1000
CONNECTIONS = 4
SINGLE_CONNECTIONS = 64
ROUNDS = 2
_MERGE = """
INSERT INTO documents AS stored (id, document, entry_ms, entry_seq)
SELECT id, document::jsonb, entry_ms, entry_seq FROM incoming
ON CONFLICT (id) DO UPDATE
SET document = excluded.document, entry_ms = excluded.entry_ms, entry_seq = excluded.entry_seq,
    updated_at = now()
WHERE (excluded.entry_ms, excluded.entry_seq) > (stored.entry_ms, stored.entry_seq)
"""
_TEMPORARY = """
CREATE TEMPORARY TABLE incoming
    (id text COLLATE "C", document text, entry_ms bigint, entry_seq bigint) ON COMMIT DELETE ROWS
"""
_ONE = "INSERT INTO documents (id, document, entry_ms, entry_seq) VALUES ($1, $2::jsonb, 1, 1)"

Document = tuple[str, str]
"""Its id and its text."""
Send = Callable[[asyncpg.Connection, Sequence[Document]], Awaitable[object]]


class WrongCountError(Exception):
    """The table does not hold what was acknowledged; the message has both numbers."""


def document() -> Document:
    """One of 256 bytes."""
    name = new_id()
    text = f'{{"id": "{name}", "name": "sensor", "number": 42, "text": "'
    return name, text + "x" * (254 - len(text)) + '"}'


def container_seconds(container: Container) -> float:
    """What its processes have used of the processor, with those that ended and were waited for."""
    ticks = 0
    for pid in container.processes():
        with contextlib.suppress(FileNotFoundError):  # it ended just now
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


async def check_rows(server: PostgresServer, database: str, acknowledged: int, side: str) -> None:
    """Raises WrongCountError unless the table holds exactly so many documents."""
    [(rows,)] = await server.as_admin("SELECT count(*) FROM documents", database)
    if rows != acknowledged:
        raise WrongCountError(
            f"{side}: {acknowledged:,} documents were acknowledged, and {rows:,} are in the table"
        )


async def flushes(server: PostgresServer) -> int:
    """Of the log, by the server's count, which has all of a connection's once that is closed."""
    [(count,)] = await server.as_admin("SELECT wal_sync FROM pg_stat_wal")
    return count


async def _upsert(connection: asyncpg.Connection, documents: Sequence[Document]) -> None:
    names, texts = zip(*documents, strict=True)
    versions = [1] * len(documents)
    await connection.execute(UPSERT, names, texts, versions, versions)


async def _copy(connection: asyncpg.Connection, documents: Sequence[Document]) -> None:
    async with connection.transaction():
        rows = [(*one, 1, 1) for one in documents]
        await connection.copy_records_to_table("incoming", records=rows)
        await connection.execute(_MERGE)


async def _one(connection: asyncpg.Connection, documents: Sequence[Document]) -> None:
    [(name, text)] = documents
    await connection.execute(_ONE, name, text)


async def _send_all(
    connections: Sequence[asyncpg.Connection], send: Send, batches: Sequence[Sequence[Document]]
) -> None:
    left: Iterator[Sequence[Document]] = iter(batches)

    async def repeat(connection: asyncpg.Connection) -> None:
        for batch in left:
            await send(connection, batch)

    await asyncio.gather(*map(repeat, connections))


async def measure(
    server: PostgresServer, settings: DatabaseSettings, report: Report, number: int
) -> None:
    """Each side in turn with `number` documents, ROUNDS times over: what else runs meets all."""
    made = [document() for _ in range(number)]
    batches = [sorted(made[first : first + BATCH]) for first in range(0, number, BATCH)]
    ones = [[one] for one in made[: number // 10]]
    sides: list[tuple[str, int, Send, Sequence[Sequence[Document]]]] = [
        (f"upsert from arrays of {BATCH:,}", CONNECTIONS, _upsert, batches),
        (f"COPY and merge of {BATCH:,}", CONNECTIONS, _copy, batches),
        (f"one INSERT each, {SINGLE_CONNECTIONS} connections", SINGLE_CONNECTIONS, _one, ones),
    ]
    for _ in range(ROUNDS):
        for side, count, send, given in sides:
            await server.as_admin("TRUNCATE documents", settings.name)
            await server.as_admin("CHECKPOINT")
            connections = [await connect(settings, "bench") for _ in range(count)]
            for one in connections:
                await one.execute(_TEMPORARY)
            flushed, used = await flushes(server), container_seconds(server.container)
            own, since = time.process_time(), time.monotonic()
            try:
                await _send_all(connections, send, given)
            finally:
                took, own = time.monotonic() - since, time.process_time() - own
                used = container_seconds(server.container) - used
                for one in connections:
                    await one.close()
            sent = sum(map(len, given))
            await check_rows(server, settings.name, sent, side)
            report.add(
                side,
                documents_per_second=round(sent / took, 1),
                commits_per_second=round(len(given) / took, 1),
                flushes_per_second=round((await flushes(server) - flushed) / took, 1),
                postgres_us_each=round(used / sent * 1e6, 1),
                client_us_each=round(own / sent * 1e6, 1),
            )

"""Does what stream-writer does, step by step, when the test says so."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from services.shared.postgres.database import Database
from services.shared.runtime.settings import DatabaseSettings
from services.shared.stream import names
from services.shared.stream.settle import Settling
from services.stream_writer.entries import Delivery, by_document, to_entry
from services.stream_writer.store import DocumentStore
from tests.integration.authority import PATIENCE

Accepted = tuple[str, dict[bytes, bytes]]


async def entries(stream: Redis) -> list[Accepted]:
    """What is in the stream, oldest first: id and fields of each."""
    found: Any = await stream.xrange(names.STREAM)
    return [(entry.decode(), fields) for entry, fields in found]


async def store(settings: DatabaseSettings, some: list[Accepted]) -> None:
    """Commit entries, without a word to the stream."""
    database = Database(
        settings,
        CollectorRegistry(),
        application_name="test",
        connect_timeout=PATIENCE,
        command_timeout=PATIENCE,
    )
    await database.open()
    try:
        documents = by_document(to_entry(Delivery(entry, fields)) for entry, fields in some)
        await DocumentStore(database).write([versions[0] for versions in documents])
    finally:
        await database.close()


async def settle(stream: Redis, some: list[Accepted], copies_stay: float = 0) -> None:
    """Take committed entries out of the stream."""
    pairs = [(entry, fields[b"id"].decode()) for entry, fields in some]
    await Settling(stream).settle(pairs, copies_stay=copies_stay)


async def write(stream: Redis, database: DatabaseSettings) -> None:
    """Store and settle all there is."""
    some = await entries(stream)
    await store(database, some)
    await settle(stream, some)

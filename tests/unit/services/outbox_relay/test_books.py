"""What the relay does about statements that fail."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from services.outbox_relay.books import Books
from services.outbox_relay.metrics import RelayMetrics
from services.outbox_relay.store import OutboxStore
from services.shared.postgres.database import Database, DatabaseUnavailableError
from services.shared.runtime.heartbeat import Heartbeat
from services.shared.runtime.settings import DatabaseSettings


@pytest.fixture
def books(tmp_path: Path) -> Books:
    """Over a pool that was never opened: the database is away."""
    file = tmp_path / "file"
    file.write_text("secret")
    where = DatabaseSettings(
        host="localhost", port=1, name="d", user="u", password_file=file, ca_file=file, pool_size=1
    )
    database = Database(where, CollectorRegistry(), application_name="test")
    return Books(OutboxStore(database, "one"), RelayMetrics(CollectorRegistry()), Heartbeat(60))


@pytest.mark.parametrize(
    "failure",
    [
        DatabaseUnavailableError("away"),
        asyncpg.DeadlockDetectedError("deadlock detected"),
        asyncpg.SerializationError("could not serialize access"),
        asyncpg.LockNotAvailableError("lock timeout"),
    ],
)
async def test_what_kafka_has_taken_is_marked_however_the_first_try_ends(
    books: Books, failure: Exception
) -> None:
    failures = [failure]

    async def mark() -> int:
        if failures:
            raise failures.pop()
        return 7

    assert await books._insist(mark, asyncio.Event()) == (2, 7)


async def test_a_mistake_in_a_statement_is_not_repeated(books: Books) -> None:
    async def mark() -> int:
        raise asyncpg.UndefinedColumnError("no such column")

    with pytest.raises(asyncpg.UndefinedColumnError):
        await books._insist(mark, asyncio.Event())

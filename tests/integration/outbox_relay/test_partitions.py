"""Partitions made and dropped while others work in the table."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from services.outbox_relay import upkeep as upkeep_module
from services.outbox_relay.settings import RelaySettings
from services.outbox_relay.upkeep import OUTBOX, tend_partitions
from services.shared.postgres import partitions
from services.shared.postgres.database import connect
from services.shared.postgres.partitions import create_ahead, drop_old, lower_bound, partitions_of
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import PATIENCE
from tests.integration.clock import MonthAhead
from tests.integration.counting import CountingDatabase
from tests.integration.outbox_relay.hand import Hand
from tests.integration.outbox_relay.outbox import Outbox
from tests.integration.servers import eventually

pytestmark = pytest.mark.usefixtures("no_midnight")  # before `restdb`, which has tables of its days

_INSERT = """
INSERT INTO outbox_events (id, lane, aggregate_id, aggregate_version, event_type, payload,
                           processed_at)
VALUES ($1, 0, 'old', 1, 'resource.created', '{}', $2)
"""
RETENTION = 3
COMMAND_TIMEOUT = 5
LONG = "60s"
"""How long upkeep waits for a lock that a test holds, until the test has seen it wait."""


@pytest.fixture
def old() -> date:
    return today() - timedelta(days=8)


@pytest.fixture
async def other(restdb: DatabaseSettings) -> AsyncIterator[asyncpg.Connection]:
    """A connection that works in the table while upkeep goes on."""
    made = await connect(restdb, "test-other", connect_timeout=PATIENCE)
    yield made
    await made.close()


@pytest.fixture
async def upkeep(restdb: DatabaseSettings) -> AsyncIterator[asyncpg.Connection]:
    made = await connect(
        restdb, "test-upkeep", command_timeout=COMMAND_TIMEOUT, connect_timeout=PATIENCE
    )
    yield made
    await made.close()


def today() -> date:
    return datetime.now(UTC).date()


async def test_a_day_whose_rows_are_being_written_into_the_default_partition_gets_its_own(
    outbox: Outbox,
    other: asyncpg.Connection,
    upkeep: asyncpg.Connection,
    old: date,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partitions, "LOCK_TIMEOUT", LONG)
    writing = other.transaction()
    await writing.start()
    await other.execute(_INSERT, lower_bound(old), None)
    creating = asyncio.create_task(create_ahead(upkeep, OUTBOX, old, 0))
    # Longer than any other statement of that connection may take.
    await eventually(lambda: waits(outbox, upkeep, seconds=COMMAND_TIMEOUT + 0.1))
    await writing.commit()
    assert await creating == [OUTBOX.partition(old)]
    assert await outbox.value(f"SELECT count(*) FROM {OUTBOX.partition(old)}") == 1
    assert await outbox.value(f"SELECT count(*) FROM {OUTBOX.default}") == 0


async def test_dropping_a_partition_and_working_in_it_do_not_end_in_a_deadlock(
    outbox: Outbox,
    other: asyncpg.Connection,
    upkeep: asyncpg.Connection,
    old: date,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partitions, "DROP_LOCK_TIMEOUT", LONG)
    await create_ahead(upkeep, OUTBOX, old, 0)
    await outbox.connection.execute(_INSERT, lower_bound(old), datetime.now(UTC))
    async with other.transaction():
        # As every claim and mark: first the table, a moment later its partitions.
        await other.execute("LOCK TABLE ONLY outbox_events IN ROW EXCLUSIVE MODE")
        dropping = asyncio.create_task(drop_old(upkeep, OUTBOX, today(), RETENTION))
        await eventually(lambda: waits(outbox, upkeep))
        await other.execute("UPDATE outbox_events SET attempts = 1 WHERE aggregate_id = 'old'")
    # Its connection's own patience may have ended while the machine was busy.
    with contextlib.suppress(TimeoutError):
        await dropping
    await drop_old(upkeep, OUTBOX, today(), RETENTION)
    assert OUTBOX.partition(old) not in await partitions_of(outbox.connection, OUTBOX)


async def test_a_partition_that_holds_unsent_events_is_kept_without_a_lock_on_it(
    outbox: Outbox, other: asyncpg.Connection, upkeep: asyncpg.Connection, old: date
) -> None:
    await create_ahead(upkeep, OUTBOX, old, 0)
    await outbox.connection.execute(_INSERT, lower_bound(old), None)
    async with other.transaction():
        await other.execute(f"SELECT count(*) FROM {OUTBOX.partition(old)}")
        dropped, kept = await drop_old(upkeep, OUTBOX, today(), RETENTION)
    assert OUTBOX.partition(old) in kept
    assert OUTBOX.partition(old) not in dropped


async def test_upkeep_creates_ahead_and_drops_only_what_is_sent(
    outbox: Outbox, database: CountingDatabase
) -> None:
    relay = Hand(database, "one")
    settings = RelaySettings(id="one", retention_days=3, partitions_ahead_days=6)
    old, older = today() - timedelta(days=8), today() - timedelta(days=9)
    for day, sent in ((old, "now()"), (older, "NULL")):
        await outbox.connection.execute(
            "INSERT INTO outbox_events (id, lane, aggregate_id, aggregate_version, event_type,"
            f" payload, processed_at) VALUES ($1, 0, 'old', 1, 'resource.created', '{{}}', {sent})",
            lower_bound(day),
        )
        await create(outbox, day)
    await tend_partitions(database, relay.metrics, settings)
    names = await partitions_of(outbox.connection, OUTBOX)
    assert OUTBOX.partition(today() + timedelta(days=6)) in names
    assert OUTBOX.partition(old) not in names
    assert OUTBOX.partition(older) in names
    assert await outbox.value("SELECT count(*) FROM outbox_events") == 1
    await tend_partitions(database, relay.metrics, settings)


async def test_upkeep_goes_by_the_servers_day_whatever_the_pods_clock_says(
    outbox: Outbox, database: CountingDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (upkeep_module, partitions):
        monkeypatch.setattr(module, "datetime", MonthAhead, raising=False)
    before = await partitions_of(outbox.connection, OUTBOX)
    assert OUTBOX.partition(today()) in before
    settings = RelaySettings(id="one", retention_days=3, partitions_ahead_days=3)
    await tend_partitions(database, Hand(database, "one").metrics, settings)
    assert await partitions_of(outbox.connection, OUTBOX) == before


async def create(outbox: Outbox, day: date) -> None:
    """The day's partition, out of rows that the default partition holds already."""
    assert await create_ahead(outbox.connection, OUTBOX, day, 0) == [OUTBOX.partition(day)]
    assert await outbox.value(f"SELECT count(*) FROM {OUTBOX.partition(day)}") == 1, (
        "rows move out of the default partition"
    )


async def waits(outbox: Outbox, connection: asyncpg.Connection, seconds: float = 0) -> object:
    """Whether `connection` has been waiting for a lock, in a statement of so many `seconds`."""
    return await outbox.value(
        "SELECT EXISTS (SELECT 1 FROM pg_stat_activity a JOIN pg_locks l USING (pid)"
        " WHERE a.pid = $1 AND NOT l.granted"
        " AND clock_timestamp() - a.query_start > make_interval(secs => $2))",
        connection.get_server_pid(),
        seconds,
    )

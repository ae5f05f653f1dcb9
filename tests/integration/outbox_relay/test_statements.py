"""The relay's SQL on a real database: fences, statement counts, partitions."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.outbox_relay import upkeep
from services.outbox_relay.leases import Leases
from services.outbox_relay.metrics import RelayMetrics
from services.outbox_relay.outcomes import OutboxEvent
from services.outbox_relay.settings import RelaySettings
from services.outbox_relay.store import PLANNER, OutboxStore
from services.outbox_relay.upkeep import OUTBOX, tend_partitions
from services.shared import partitions
from services.shared.database import Database
from services.shared.partitions import create_ahead, lower_bound, partitions_of
from services.shared.settings import DatabaseSettings
from tests.integration.outbox_relay.outbox import Outbox


class CountingDatabase(Database):
    """Remembers every statement that is sent."""

    statements: list[str]

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        async with super().connection() as connection:
            with connection.query_logger(lambda record: self.statements.append(record.query)):
                yield connection


class Hand:
    """A relay's leases and store, moved by hand."""

    def __init__(self, database: CountingDatabase, owner: str, ttl: float = 30) -> None:
        self.metrics = RelayMetrics(CollectorRegistry())
        self.leases = Leases(database, self.metrics, owner, ttl)
        self.store = OutboxStore(database, owner)

    @property
    def tokens(self) -> dict[int, int]:
        return {lane: held.token for lane, held in self.leases.usable(0).items()}

    async def claim(self, limit: int = 500, **changes: Any) -> list[OutboxEvent]:
        return await self.store.claim(
            changes.get("lanes", self.tokens),
            lease_left=changes.get("lease_left", 1),
            resting_keys=changes.get("resting_keys", []),
            limit=limit,
            careful_attempts=3,
        )


@pytest.fixture
async def database(restdb: DatabaseSettings) -> AsyncIterator[CountingDatabase]:
    made = CountingDatabase(
        restdb, CollectorRegistry(), application_name="test", server_settings=PLANNER
    )
    made.statements = []
    await made.open()
    yield made
    await made.close()


async def expire_all(outbox: Outbox) -> None:
    await outbox.connection.execute(
        "UPDATE relay_lease SET expires_at = clock_timestamp() - interval '1 ms'"
    )
    await outbox.connection.execute("DELETE FROM relay_member")


async def test_a_batch_costs_one_statement_to_claim_and_one_to_mark(
    outbox: Outbox, database: CountingDatabase
) -> None:
    relay = Hand(database, "one")
    await relay.leases.balance()
    await outbox.write("first")
    await relay.store.mark(relay.tokens, await relay.claim())
    await outbox.write(*[f"count-{n}" for n in range(600)])
    database.statements.clear()  # asyncpg asks about types when a connection meets them first
    batch = await relay.claim()
    assert len(batch) == 500
    assert [event.seq for event in batch] == sorted(event.seq for event in batch)
    assert await relay.store.mark(relay.tokens, batch) == 500
    assert len(database.statements) == 2
    assert len(await relay.claim()) == 100


async def test_a_round_of_leases_costs_the_same_whatever_it_holds(
    outbox: Outbox, database: CountingDatabase
) -> None:
    relay = Hand(database, "one")
    await relay.leases.balance()
    assert relay.leases.count == 64
    await relay.leases.balance()
    database.statements.clear()
    await relay.leases.balance()
    assert len(database.statements) == 4
    assert outbox.connection.is_closed() is False


async def test_who_lost_a_lane_can_neither_claim_nor_mark_nor_park_there(
    outbox: Outbox, database: CountingDatabase
) -> None:
    old, new = Hand(database, "old"), Hand(database, "new")
    await old.leases.balance()
    tokens = old.tokens
    await outbox.write("contested")
    (event,) = await old.claim()
    await expire_all(outbox)
    await new.leases.balance()
    assert new.leases.count == 64
    assert await old.store.mark(tokens, [event]) == 0
    assert await old.store.refund(tokens, [event]) == 0
    assert await old.store.park(tokens, event, "too late") is False
    assert await old.claim(lanes=tokens) == []
    (again,) = await new.claim()
    assert again.event.id == event.event.id
    assert again.attempts == 2
    assert await new.store.mark(new.tokens, [again]) == 1


async def test_an_expired_lease_that_nobody_took_still_marks_but_does_not_claim(
    outbox: Outbox, database: CountingDatabase
) -> None:
    relay = Hand(database, "slow")
    await relay.leases.balance()
    await outbox.write("first", "second")
    batch = await relay.claim(limit=1)
    await expire_all(outbox)
    assert await relay.claim() == []
    assert await relay.store.mark(relay.tokens, batch) == 1


async def test_a_lease_near_its_end_starts_no_batch(
    outbox: Outbox, database: CountingDatabase
) -> None:
    relay = Hand(database, "one", ttl=30)
    await relay.leases.balance()
    await outbox.write("waits")
    assert await relay.claim(lease_left=31) == []
    assert relay.leases.usable(31) == {}
    assert len(await relay.claim(lease_left=25)) == 1


async def test_a_restarted_relay_waits_for_its_own_old_leases(
    outbox: Outbox, database: CountingDatabase
) -> None:
    before, after = Hand(database, "pod-1/aaa"), Hand(database, "pod-1/bbb")
    await before.leases.balance()
    await after.leases.balance()
    assert after.leases.count == 0
    await expire_all(outbox)
    await after.leases.balance()
    assert after.leases.count == 64


async def test_who_has_left_neither_joins_nor_takes_a_lane_again(
    outbox: Outbox, database: CountingDatabase
) -> None:
    relay = Hand(database, "one")
    await relay.leases.balance()
    await relay.leases.release_all()
    # The helper that keeps the leases runs on until the process ends.
    assert await relay.leases.balance() == 0
    assert relay.leases.count == 0
    assert await outbox.held_lanes() == {}
    assert await outbox.value("SELECT count(*) FROM relay_member") == 0


async def test_parked_and_resting_keys_are_passed_over(
    outbox: Outbox, database: CountingDatabase
) -> None:
    relay = Hand(database, "one")
    await relay.leases.balance()
    await outbox.write("parked", "resting", "free")
    batch = {event.key: event for event in await relay.claim()}
    assert await relay.store.park(relay.tokens, batch["parked"], "refused") is True
    left = await relay.claim(resting_keys=["resting"])
    assert [event.key for event in left] == ["free"]
    backlog = await relay.store.backlog()
    assert (backlog.unsent, backlog.parked_keys) == (2, 1)


async def test_a_suspicious_event_is_claimed_alone(
    outbox: Outbox, database: CountingDatabase
) -> None:
    relay = Hand(database, "one")
    await relay.leases.balance()
    await outbox.write(*[f"careful-{n}" for n in range(5)])
    for _ in range(3):
        assert len(await relay.claim()) == 5
    assert len(await relay.claim()) == 1


async def test_a_batch_reads_no_more_the_longer_the_backlog_is(
    outbox: Outbox, database: CountingDatabase
) -> None:
    relay = Hand(database, "one")
    await relay.leases.balance()
    # As after an outage: the statistics are of a time when everything was sent.
    await outbox.connection.execute("ANALYZE outbox_events")
    await outbox.connection.execute(
        """INSERT INTO outbox_events (id, lane, aggregate_id, aggregate_version, event_type,
                                      payload)
           SELECT overlay($1 placing lpad(to_hex(n), 12, '0') from 25), n % 64, 'key-' || n % 999,
                  n, 'resource.created', '{}' FROM generate_series(1, 30000) n""",
        lower_bound(datetime.now(UTC).date()),
    )
    batches = 8  # beyond asyncpg's and the planner's choice of a generic plan
    for _ in range(batches):
        batch = await relay.claim()
        assert len(batch) == 500
        await relay.store.mark(relay.tokens, batch)
    await database.close()  # flushes the statistics of its connections
    read = await outbox.value(
        "SELECT sum(seq_tup_read + idx_tup_fetch)::bigint FROM pg_stat_user_tables"
        " WHERE relname LIKE 'outbox\\_events%'"
    )
    assert isinstance(read, int)
    # 64 rows of each of 64 lanes to choose from, and the chosen twice more.
    assert batches * 500 < read <= batches * (64 * 64 + 3 * 500)


async def test_upkeep_creates_ahead_and_drops_only_what_is_sent(
    outbox: Outbox, database: CountingDatabase
) -> None:
    relay = Hand(database, "one")
    settings = RelaySettings(id="one", retention_days=3, partitions_ahead_days=6)
    today = datetime.now(UTC).date()
    old, older = today - timedelta(days=8), today - timedelta(days=9)
    for day, sent in ((old, "now()"), (older, "NULL")):
        await outbox.connection.execute(
            "INSERT INTO outbox_events (id, lane, aggregate_id, aggregate_version, event_type,"
            f" payload, processed_at) VALUES ($1, 0, 'old', 1, 'resource.created', '{{}}', {sent})",
            lower_bound(day),
        )
        await create(outbox, day)
    await tend_partitions(database, relay.metrics, settings)
    names = await partitions_of(outbox.connection, OUTBOX)
    assert OUTBOX.partition(today + timedelta(days=6)) in names
    assert OUTBOX.partition(old) not in names
    assert OUTBOX.partition(older) in names
    assert await outbox.value("SELECT count(*) FROM outbox_events") == 1
    await tend_partitions(database, relay.metrics, settings)


class MonthAhead(datetime):
    """The clock of a pod that is wrong by a month."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> MonthAhead:
        return cls.fromtimestamp(time.time() + 30 * 86400, tz)


async def test_upkeep_goes_by_the_servers_day_whatever_the_pods_clock_says(
    outbox: Outbox, database: CountingDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (upkeep, partitions):
        monkeypatch.setattr(module, "datetime", MonthAhead, raising=False)
    today = datetime.now(UTC).date()
    before = await partitions_of(outbox.connection, OUTBOX)
    assert OUTBOX.partition(today) in before
    settings = RelaySettings(id="one", retention_days=3, partitions_ahead_days=3)
    await tend_partitions(database, Hand(database, "one").metrics, settings)
    assert await partitions_of(outbox.connection, OUTBOX) == before


async def create(outbox: Outbox, day: date) -> None:
    """The day's partition, out of rows that the default partition holds already."""
    assert await create_ahead(outbox.connection, OUTBOX, day, 0) == [OUTBOX.partition(day)]
    assert await outbox.value(f"SELECT count(*) FROM {OUTBOX.partition(day)}") == 1, (
        "rows move out of the default partition"
    )

"""What the relay reads, and how much of it, on a real database."""

from __future__ import annotations

from datetime import UTC, datetime

from services.outbox_relay.outcomes import OutboxEvent
from services.outbox_relay.upkeep import OUTBOX
from services.shared.postgres.database import Database
from services.shared.postgres.partitions import lower_bound, partitions_of
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.counting import CountingDatabase
from tests.integration.outbox_relay.hand import Hand
from tests.integration.outbox_relay.outbox import Outbox
from tests.integration.servers import eventually


async def test_a_batch_reads_no_more_the_longer_the_backlog_is(
    outbox: Outbox, database: CountingDatabase
) -> None:
    relay = Hand(database, "one")
    await relay.leases.balance()
    await write_backlog(outbox)
    batches = 8  # beyond asyncpg's and the planner's choice of a generic plan
    for _ in range(batches):
        batch = await relay.claim()
        assert len(batch) == 500
        await relay.store.mark(relay.tokens, batch)
    read = await rows_read(outbox, database)
    # 64 rows of each of 64 lanes to choose from, and the chosen twice more.
    assert batches * 500 < read <= batches * (64 * 64 + 3 * 500)


async def test_a_look_reads_no_more_the_longer_the_queue_before_its_place_is(
    outbox: Outbox, database: CountingDatabase
) -> None:
    relay = Hand(database, "one")
    await relay.leases.balance()
    await write_backlog(outbox)
    last = await outbox.value("SELECT max(seq) - 100 FROM outbox_events")
    assert isinstance(last, int)
    before = await rows_read(outbox)
    looks = 8
    for _ in range(looks):
        events = (await relay.look(after=last)).events
        assert [event.seq for event in events] == list(range(last + 1, last + 101))
    assert await rows_read(outbox, database) - before == looks * 100


async def test_what_a_look_shows_can_be_taken_once_and_counts_as_a_try(
    outbox: Outbox, database: CountingDatabase
) -> None:
    relay = Hand(database, "one")
    await relay.leases.balance()
    first, second = await outbox.write("one", "two")
    look = await relay.look()
    assert [(event.id, event.key, event.attempts) for event in look.events] == [
        (first, "one", 0),
        (second, "two", 0),
    ]
    (event,) = await relay.store.take(relay.tokens, [second], lease_left=1)
    assert (event.event.id, event.attempts) == (second, 1)
    assert await relay.store.mark(relay.tokens, [event]) == 1
    assert await relay.store.take(relay.tokens, [second], lease_left=1) == []
    assert await relay.store.park(relay.tokens, await only(relay, first), "refused")
    assert [event.parked for event in (await relay.look()).events] == [True]


async def test_what_a_look_has_shown_is_not_taken_once_its_key_is_parked(
    outbox: Outbox, database: CountingDatabase
) -> None:
    relay = Hand(database, "one")
    await relay.leases.balance()
    first, later = await outbox.write("one", "one")
    assert [event.parked for event in (await relay.look()).events] == [False, False]
    assert await relay.store.park(relay.tokens, await only(relay, first), "refused")
    assert await relay.store.take(relay.tokens, [first, later], lease_left=1) == []
    tries = await outbox.value("SELECT array_agg(attempts ORDER BY seq) FROM outbox_events")
    assert tries == [1, 0]


async def test_a_look_tells_of_transactions_whose_numbers_are_still_to_come(
    outbox: Outbox, database: CountingDatabase, restdb: DatabaseSettings
) -> None:
    relay = Hand(database, "one")
    await relay.leases.balance()
    other = await Outbox.open(restdb)
    async with other.connection.transaction():
        await other.write("late")
        await outbox.write("early")
        look = await relay.look()
        assert [event.key for event in look.events] == ["early"]
        assert (await relay.look()).oldest < look.next
    after = await relay.look()
    assert [event.key for event in after.events] == ["late", "early"]

    async def all_have_ended() -> bool:
        # Transactions of the whole server count, such as an automatic ANALYZE.
        return (await relay.look()).oldest >= look.next

    await eventually(all_have_ended)
    await other.connection.close()


async def only(relay: Hand, event_id: str) -> OutboxEvent:
    (event,) = await relay.store.take(relay.tokens, [event_id], lease_left=1)
    return event


async def write_backlog(outbox: Outbox) -> None:
    """30,000 events, as after an outage: the statistics are of a time when all was sent."""
    await outbox.connection.execute("ANALYZE outbox_events")
    # The server would take others by itself, once a minute: of the backlog, if it comes in between.
    for name in await partitions_of(outbox.connection, OUTBOX):
        await outbox.connection.execute(f"ALTER TABLE {name} SET (autovacuum_enabled = off)")
    await outbox.connection.execute(
        """INSERT INTO outbox_events (id, lane, aggregate_id, aggregate_version, event_type,
                                      payload)
           SELECT overlay($1 placing lpad(to_hex(n), 12, '0') from 25), n % 64, 'key-' || n % 999,
                  n, 'resource.created', '{}' FROM generate_series(1, 30000) n""",
        lower_bound(datetime.now(UTC).date()),
    )


async def rows_read(outbox: Outbox, database: Database | None = None) -> int:
    """How many rows of the outbox were read since its beginning; closes `database` first."""
    if database:
        await database.close()  # flushes the statistics of its connections
    await outbox.connection.execute("SELECT pg_stat_force_next_flush()")
    read = await outbox.value(
        "SELECT sum(seq_tup_read + idx_tup_fetch)::bigint FROM pg_stat_user_tables"
        " WHERE relname LIKE 'outbox\\_events%'"
    )
    assert isinstance(read, int)
    return read

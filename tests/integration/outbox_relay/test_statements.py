"""The relay's SQL on a real database: fences and statement counts."""

from __future__ import annotations

from services.outbox_relay.detour import Look
from tests.integration.counting import CountingDatabase
from tests.integration.outbox_relay.hand import Hand
from tests.integration.outbox_relay.outbox import Outbox


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
    assert await old.look(tokens) == Look()
    assert await old.store.take(tokens, [event.event.id], lease_left=1) == []
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
    relay = Hand(database, "one", ttl=300)
    await relay.leases.balance()
    await outbox.write("waits")
    assert await relay.claim(lease_left=301) == []
    assert relay.leases.usable(301) == {}
    assert len(await relay.claim(lease_left=200)) == 1


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
    assert await outbox.leased_lanes() == {}
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

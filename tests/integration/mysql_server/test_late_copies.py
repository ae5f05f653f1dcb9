"""Which copies are ready: those close behind the source, and those that were when it went away."""

from __future__ import annotations

import functools

from services.shared.mysql.connections import connect
from tests.integration.authority import PATIENCE, eventually
from tests.integration.mysql_server.conftest import MAX_LAG_SECONDS, Pair

APPLIED = (
    "SELECT COUNT(*) n FROM performance_schema.replication_applier_status_by_worker"
    " WHERE last_applied_transaction_end_apply_timestamp > NOW(6) - INTERVAL %d SECOND"
)


async def idle_for(pair: Pair, seconds: int) -> None:
    """Until the copy has applied nothing for so long."""

    async def idle() -> bool:
        (row,) = await pair.copy.as_admin(APPLIED % seconds)
        return row["n"] == 0

    await eventually(idle)


async def test_a_copy_of_a_source_that_nobody_writes_to_stays_ready(pair: Pair) -> None:
    await pair.following()
    await pair.in_time("for long")
    await idle_for(pair, MAX_LAG_SECONDS * 3)
    # Were it late because nobody writes, it would stay so.
    await pair.following()
    await eventually(pair.is_not_late)
    # What comes after a long pause is not as old as the pause.
    await pair.in_time("after it", functools.partial(idle_for, pair, MAX_LAG_SECONDS * 3))


async def test_a_copy_that_is_held_up_is_not_ready_until_it_has_caught_up(pair: Pair) -> None:
    await pair.following()
    settings = pair.copy.admin.model_copy(update={"name": "copied"})
    holder = await connect(settings, "test", connect_timeout=PATIENCE)
    async with holder.cursor() as cursor:
        await cursor.execute("LOCK TABLES t READ")
        await pair.write("held up")
        await eventually(pair.is_not_ready)
        await eventually(pair.late)
        await pair.has_started()
        assert await pair.newest() != "held up"
        await cursor.execute("UNLOCK TABLES")
    holder.close()
    await pair.arrives("held up")
    await pair.following()


async def test_a_copy_that_is_always_late_is_not_ready_between_two_transactions_either(
    pair: Pair,
) -> None:
    await pair.following()
    await pair.copy.as_admin("STOP REPLICA SQL_THREAD")
    await pair.copy.as_admin(f"CHANGE REPLICATION SOURCE TO SOURCE_DELAY = {MAX_LAG_SECONDS * 2}")
    await pair.copy.as_admin("START REPLICA SQL_THREAD")
    await pair.write("delayed 0")
    await pair.arrives("delayed 0")
    for number in range(1, 6):
        assert not pair.ready(), number
        assert await pair.late(), number
        await pair.write(f"delayed {number}")
    await pair.arrives("delayed 5")
    assert not pair.ready()
    assert await pair.late()
    await pair.copy.as_admin("STOP REPLICA SQL_THREAD")
    await pair.copy.as_admin("CHANGE REPLICATION SOURCE TO SOURCE_DELAY = 0")
    await pair.copy.as_admin("START REPLICA SQL_THREAD")
    await pair.following()


async def test_a_copy_stays_readable_while_the_source_is_away(pair: Pair) -> None:
    await pair.following()
    await pair.in_time("before")
    before = await pair.newest()
    pair.source.container.kill()

    async def noticed() -> bool:
        (row,) = await pair.copy.as_admin(
            "SELECT service_state s, last_error_number e"
            " FROM performance_schema.replication_connection_status"
        )
        return row["s"] == "CONNECTING" and row["e"] != 0

    await eventually(noticed)
    # Once it says that it is not ready it does not say otherwise before it is back at its source.
    await pair.following()
    await eventually(pair.is_not_late)
    assert await pair.newest() == before
    # One that starts meanwhile cannot know how much it lacks.
    pair.copy.container.kill()
    pair.copy.container.start()
    await pair.copy.wait()
    assert not pair.ready()
    assert await pair.late()
    pair.source.container.start()
    await pair.source.wait()
    await pair.write("the first after")
    await pair.following()
    await pair.arrives("the first after")

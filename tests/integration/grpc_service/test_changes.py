"""What PostgreSQL's snapshots say of who has seen what: transactions that are late, or aborted."""

from __future__ import annotations

import pytest

from services.grpc_service.changes import OF_ALL, OF_RESOURCE, Changes
from services.grpc_service.cursors import Filters
from services.grpc_service.model import Status
from services.grpc_service.snapshots import Snapshot
from tests.integration.grpc_service.conftest import Tasks

EVERY = Filters()
TOUCH = "UPDATE tasks SET attempts = attempts + 1, change = pg_current_xact_id() WHERE id = $1"


async def ids(
    changes: Changes, since: Snapshot, until: Snapshot | None, limit: int = 100
) -> list[str]:
    """Of all pages."""
    found: list[str] = []
    while True:
        heard = await changes.between(since, until, EVERY, limit)
        found += [task.id for task in heard.tasks]
        since = heard.reached
        if not heard.more:
            return found


async def test_what_commits_late_with_a_lower_number_is_seen_by_who_had_seen_higher_ones(
    tasks: Tasks,
) -> None:
    changes = Changes(tasks.database)
    late, early = await tasks.make("late", "early")
    before = await changes.now()
    async with tasks.database.connection() as slow:
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute(TOUCH, late.id)
        await tasks.rows(TOUCH, early.id)
        seen = await changes.between(before, None, EVERY, 100)
        assert [task.id for task in seen.tasks] == [early.id]
        assert len(seen.reached.running) == 1
        assert await ids(changes, seen.reached, None) == []
        assert Snapshot.parse(str(seen.reached)) == seen.reached
        await transaction.commit()
    (row,) = await tasks.rows(
        "SELECT a.change < b.change AS lower FROM tasks a, tasks b WHERE a.id = $1 AND b.id = $2",
        late.id,
        early.id,
    )
    assert row["lower"], "this is what it is about"
    assert await ids(changes, seen.reached, None) == [late.id]
    assert await ids(changes, before, None) == [late.id, early.id]
    assert await ids(changes, before, seen.reached) == [early.id]


async def test_a_number_may_be_given_long_before_the_change_it_is_of(tasks: Tasks) -> None:
    changes = Changes(tasks.database)
    one, other = await tasks.make("one", "other")
    async with tasks.database.connection() as slow:
        transaction = slow.transaction()
        await transaction.start()
        await slow.fetchval("SELECT pg_current_xact_id()")
        before = await changes.now()
        await tasks.rows(TOUCH, other.id)
        between = await changes.now()
        async with slow.transaction():  # a savepoint, whose rows have a number of its own
            await slow.execute(TOUCH, one.id)
        await transaction.commit()
    assert await ids(changes, before, between) == [other.id]
    assert await ids(changes, between, None) == [one.id]


async def test_what_is_rolled_back_is_not_told(tasks: Tasks) -> None:
    changes = Changes(tasks.database)
    (one,) = await tasks.make("one")
    before = await changes.now()
    async with tasks.database.connection() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(TOUCH, one.id)
        await transaction.rollback()
    assert await ids(changes, before, None) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_pages_end_with_a_transaction_and_tell_all_once(tasks: Tasks, limit: int) -> None:
    changes = Changes(tasks.database)
    before = await changes.now()
    for number in range(4):
        async with tasks.database.connection() as connection, connection.transaction():
            for place in range(number):
                await connection.execute(
                    "INSERT INTO tasks (id, resource_id, action, number, input)"
                    " VALUES ($1, $1, 'digest', 1, '{}')",
                    f"t-{number}-{place}",
                )
    expected = ["t-1-0", "t-2-0", "t-2-1", "t-3-0", "t-3-1", "t-3-2"]
    assert await ids(changes, before, None, limit) == expected
    heard = await changes.between(before, None, EVERY, limit)
    whole = {len([one for one in heard.tasks if one.id.startswith(f"t-{n}")]) for n in range(4)}
    assert whole <= {0, 1, 2, 3}
    assert len(heard.tasks) in (1, 3, 6)


async def test_filters_are_the_databases_and_pages_without_a_match_go_on(tasks: Tasks) -> None:
    changes = Changes(tasks.database)
    before = await changes.now()
    made = await tasks.make(*(f"r-{number % 3}" for number in range(9)))
    (claimed, *_) = await tasks.claim(1)
    await tasks.store.fail(claimed, "no", "t")
    for filters, wanted in (
        (Filters(resource_id="r-1"), {task.id for task in made if task.resource_id == "r-1"}),
        (Filters(status=Status.FAILED), {claimed.task.id}),
        (Filters(action="terms"), set[str]()),
        (Filters(resource_id="r-0", status=Status.FAILED, action="digest"), {claimed.task.id}),
    ):
        since, found, more = before, set[str](), True
        while more:
            heard = await changes.between(since, None, filters, 2)
            found |= {task.id for task in heard.tasks}
            since, more = heard.reached, heard.more
        assert found == wanted


async def test_rows_of_another_server_are_told_once_they_change_here(tasks: Tasks) -> None:
    changes = Changes(tasks.database)
    (one,) = await tasks.make("one")
    await tasks.rows("UPDATE tasks SET change = '900000000000000'::xid8")
    before = await changes.now()
    assert await ids(changes, before, None) == []
    await tasks.rows(TOUCH, one.id)
    assert await ids(changes, before, None) == [one.id]


@pytest.mark.parametrize("analysed", ["never", "when it was small", "since"])
async def test_changes_are_read_off_an_index(tasks: Tasks, analysed: str) -> None:
    changes = Changes(tasks.database)
    await tasks.rows("ALTER TABLE tasks SET (autovacuum_enabled = off)")
    for first, last in ((1, 10), (11, 50_000)):
        await tasks.rows(
            "INSERT INTO tasks (id, resource_id, action, number, input, status)"
            " SELECT 't-' || n, 'r-' || n % 5000, 'digest', n, repeat('x', 200), 'completed'"
            f" FROM generate_series({first}, {last}) AS n"
        )
        if analysed == ("when it was small" if last == 10 else "since"):
            await tasks.rows("ANALYZE tasks")
    now = await changes.now()
    since = Snapshot(now.end, (now.end - 5,))
    async with tasks.database.connection() as connection:
        for statement, wanted, more in (
            (OF_ALL, "tasks_change", ()),
            (OF_RESOURCE, "resource_id", ("r-1",)),
        ):
            given = (str(since), None, 100, None, None, *more)
            rows = await connection.fetch(f"EXPLAIN {statement}", *given)
            plan = "\n".join(row[0] for row in rows)
            assert "Seq Scan" not in plan, plan
            assert wanted in plan, plan

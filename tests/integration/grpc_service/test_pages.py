"""Pages of tasks: the newest first, of one question each."""

from __future__ import annotations

import pytest

from services.grpc_service.cursors import BadCursorError, Filters
from services.grpc_service.model import Status, Task
from tests.integration.grpc_service.conftest import Tasks, event


async def every(tasks: Tasks, filters: Filters, size: int) -> list[Task]:
    found: list[Task] = []
    cursor = None
    while True:
        page, cursor = await tasks.store.list(filters, size, cursor)
        found += page
        if cursor is None:
            return found
        assert len(page) == size


async def test_all_that_match_are_listed_newest_first_and_none_twice(tasks: Tasks) -> None:
    made = await tasks.make(*(f"r-{n % 3}" for n in range(10)))
    await tasks.inbox.process([event("r-0", "c", 1)])
    mine = await tasks.claim()
    await tasks.store.complete(mine[0], "{}", "t")
    await tasks.store.fail(mine[1], "no", "t")
    ids = [task.id for task in reversed(made)]
    for size in (1, 3, 100):
        assert [one.id for one in await every(tasks, Filters(), size)][1:] == ids
    of_one = await every(tasks, Filters(resource_id="r-1"), 2)
    assert [one.id for one in of_one] == [one.id for one in reversed(made[1::3])]
    (created,) = await every(tasks, Filters(action="created"), 5)
    assert created.resource_id == "r-0"
    for status, count in ((Status.COMPLETED, 1), (Status.FAILED, 1), (Status.RUNNING, 1)):
        found = await every(tasks, Filters(status=status), 5)
        assert [one.status for one in found] == [status] * count
    both = Filters(resource_id="r-0", action="digest", status=Status.PENDING)
    assert len(await every(tasks, both, 2)) == 3
    assert await every(tasks, Filters(resource_id="r-9"), 2) == []


async def test_a_cursor_is_of_the_question_that_it_came_with(tasks: Tasks) -> None:
    await tasks.make("r-1", "r-1", "r-1")
    _, cursor = await tasks.store.list(Filters(resource_id="r-1"), 1)
    assert cursor is not None
    with pytest.raises(BadCursorError):
        await tasks.store.list(Filters(), 1, cursor)


async def test_each_page_is_read_off_an_index(tasks: Tasks) -> None:
    wanted = {
        "task_id": "tasks_pkey",
        Status.FAILED: "tasks_failed",
        Status.PENDING: "tasks_open",
        "resource": "tasks_of_resource",
    }
    asked = {
        "task_id": "t.id < 'g'",
        Status.FAILED: "t.id < 'g' AND t.status = 'failed'",
        Status.PENDING: "t.id < 'g' AND t.status = 'pending'",
        "resource": "t.id < 'g' AND t.resource_id = 'r-1'",
    }
    async with tasks.database.connection() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        for name, where in asked.items():
            rows = await connection.fetch(
                f"EXPLAIN SELECT * FROM tasks t WHERE {where} ORDER BY t.id DESC LIMIT 5"
            )
            plan = "\n".join(row[0] for row in rows)
            assert f"Index Scan Backward using {wanted[name]}" in plan, plan

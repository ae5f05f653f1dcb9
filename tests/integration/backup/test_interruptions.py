"""A pod that dies in the middle: the data are as they were, and the next run does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from services.provision.mysql import provision
from tests.integration.authority import eventually
from tests.integration.backup.conftest import Server
from tests.integration.backup.on_mysql import OnMySQL


async def killed(server: Server, when: Callable[[], Awaitable[bool]], *action: str) -> None:
    said = server.pod.start(*action)
    try:
        await eventually(when)
    except AssertionError:
        raise AssertionError(server.pod.read(said)) from None
    server.pod.kill(said)


async def test_a_restore_killed_while_it_loads_leaves_the_data_and_is_done_again(
    server: Server,
) -> None:
    await server.fill()
    name = await server.pod.take()
    await server.add("new")
    before = await server.contents()
    # Else it may be done before it is seen to load, or before the signal gets there.
    async with server.loaded_held_up():
        await killed(server, server.loading, "restore", "--backup", name)
    await eventually(server.forsaken)
    assert await server.contents() == before
    assert await server.let_in()
    await server.pod.restore(name)
    assert await server.said() == ["a", "b"]
    assert await server.left() == []


@pytest.mark.parametrize("action", ["restore", "pitr"])
async def test_a_swap_that_is_killed_leaves_the_data_and_the_application_is_let_in_again(
    server: Server, action: str
) -> None:
    await server.fill()
    pod = server.pod
    async with pod.archiver():
        name = await pod.take()
        moment = await server.archived()
    await server.add("new")
    before = await server.contents()
    order = ("restore", "--backup", name) if action == "restore" else ("pitr", "--to", f"{moment}")
    async with server.swap_held_up():
        await killed(server, server.swapping, *order)
        if isinstance(server, OnMySQL):
            await eventually(lambda: _no(server.swapping))  # the server sees that it is gone
    if isinstance(server, OnMySQL):
        # With two servers' worth of statements a swap is no transaction: somebody has to say it.
        assert not await server.let_in()
        await provision(server.provisioned)
        assert not await server.let_in()
        await pod.do("unlock")
    await eventually(server.let_in)
    await eventually(server.forsaken)
    assert await server.contents() == before
    await pod.do(*order)
    assert await server.said() == ["a", "b"]
    assert await server.let_in()
    assert await server.left() == []


async def _no(check: Callable[[], Awaitable[bool]]) -> bool:
    return not await check()


async def test_a_backup_killed_half_way_is_none_and_the_next_one_is_taken(server: Server) -> None:
    await server.fill()
    await server.grow(8)
    pod = server.pod
    said = pod.start("take")
    # In the pod itself, for it does not last long.
    pod.shell(
        f"timeout 60 bash -c 'until find {server.folder} -name .partial-\\* -size +64k 2>/dev/null"
        f" | grep -q .; do sleep 0.01; done'; kill -KILL -- -$(cat {said}.pid)"
    )
    assert await pod.backups() == []
    await eventually(server.forsaken)
    name = await pod.take("--drill")
    assert [row["backup"] for row in await pod.backups()] == [name]


async def test_what_a_dead_pod_left_of_a_swap_is_finished_or_undone(on_mysql: OnMySQL) -> None:
    """With the account locked, before and after the tables were renamed."""
    server = on_mysql
    await server.fill()
    user = f"'{server.pod.accounts['client_db'].user}'@'%'"
    for renamed in (False, True):
        await server.ask("CREATE DATABASE client_db__restoring", "CREATE DATABASE client_db__was_1")
        for statement in (
            "CREATE TABLE __restore (said JSON NOT NULL)",
            "CREATE TABLE owners2 (id INT PRIMARY KEY)",
            'INSERT INTO __restore VALUES (\'{"locked": ["' + user.replace("'", "''")
            + '"], "was": "client_db__was_1", "history": "20260101-000000-000000"}\')',
        ):  # fmt: skip
            await server.ask(statement, database="client_db__restoring")
        await server.ask(f"ALTER USER {user} ACCOUNT LOCK")
        if renamed:
            await server.ask(
                "RENAME TABLE client_db.written TO client_db__was_1.written, "
                "client_db__restoring.owners2 TO client_db.owners2"
            )
        did = (await server.pod.do("unlock")).line("restore_cleaned_up")["did"]
        assert ("restored data are live" in did) == renamed
        assert await server.let_in()
        assert bool(await server.ask("SHOW DATABASES LIKE 'client_db\\_\\_%'")) == renamed

"""Copies as the cluster starts them: they follow, take no write, and say when they are broken."""

from __future__ import annotations

import pytest
from pymysql.err import OperationalError

from services.shared.mysql.connections import connect
from tests.integration.authority import PATIENCE, eventually
from tests.integration.mysql_server.conftest import Pair


async def test_a_copy_begins_with_what_the_source_had_and_follows_it(pair: Pair) -> None:
    await pair.following()
    assert await pair.newest() == "before"
    await pair.write("after")
    await pair.arrives("after")


async def test_an_account_made_on_the_source_gets_in_at_the_copy(pair: Pair) -> None:
    settings = await pair.source.provision("handed", role="user")
    await pair.following()
    at_the_copy = settings.model_copy(update={"port": pair.copy.port})

    async def gets_in() -> bool:
        try:
            (await connect(at_the_copy, "test", connect_timeout=PATIENCE)).close()
        except OperationalError:  # not there yet
            return False
        return True

    await eventually(gets_in)


async def test_a_copy_takes_no_write_of_anybody_even_after_a_restart(pair: Pair) -> None:
    for _ in range(2):
        with pytest.raises(OperationalError, match="super-read-only"):
            await pair.copy.as_admin("INSERT INTO t (v) VALUES ('wrong')", "copied")
        pair.copy.container.kill()
        pair.copy.container.start()
        await pair.copy.wait()
    await pair.following()


@pytest.mark.parametrize("thread", ["SQL_THREAD", "IO_THREAD"])
async def test_a_copy_that_somebody_stopped_is_not_ready_but_has_started(
    pair: Pair, thread: str
) -> None:
    await pair.following()
    await pair.copy.as_admin(f"STOP REPLICA {thread}")
    assert not pair.ready()
    await pair.has_started()
    await restart_following(pair)


async def restart_following(pair: Pair) -> None:
    """The password is in memory alone, and START REPLICA asks for it again: as the start does."""
    pair.copy.container.stop()
    pair.copy.container.start()
    await pair.copy.wait()
    await pair.following()


async def test_a_copy_that_is_refused_by_its_source_is_not_ready(pair: Pair) -> None:
    await pair.following()
    await pair.source.as_admin("ALTER USER replication@'%' ACCOUNT LOCK")

    async def is_refused() -> bool:
        await pair.disconnect()
        return await pair.is_not_ready()

    # The source serves and goes on; this one would stay behind for ever and not know how far.
    await eventually(is_refused)
    await pair.source.as_admin("ALTER USER replication@'%' ACCOUNT UNLOCK")
    await pair.following()


async def test_a_copy_that_broke_is_not_ready_but_has_started(pair: Pair) -> None:
    await pair.following()
    # A row that the source will make, too.
    await pair.copy.as_admin("SET GLOBAL super_read_only = OFF")
    await pair.copy.as_admin("INSERT INTO t VALUES (100, 'stray')", "copied")
    await pair.copy.as_admin("SET GLOBAL super_read_only = ON")
    await pair.source.as_admin("INSERT INTO t VALUES (100, 'right')", "copied")
    await eventually(pair.is_not_ready)
    await pair.has_started()

"""Migrations of a MySQL database, whose DDL nothing rolls back, against a real server."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from services.migrate import runner
from services.migrate.engine import MigrationError
from services.migrate.engines import ENGINES
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.servers import MySQLServer

ENGINE = ENGINES["mysql"]
_numbers = itertools.count(1)

Revise = Callable[..., None]

FIRST = """
    op.create_table("things", sa.Column("id", sa.Integer, primary_key=True))
    op.execute("INSERT INTO things VALUES (1), (2)")
    op.create_index("things_id", "things", ["id"])
"""
FIRST_BACK = 'op.drop_table("things")'


@pytest.fixture
def revise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Revise:
    """Write a revision of the package `shop`."""
    folder = tmp_path / "shop" / "migrations"
    folder.mkdir(parents=True)
    monkeypatch.setattr(runner, "_SERVICES", tmp_path)

    def write(number: int, up: str, down: str = "pass") -> None:
        parts = [
            "import sqlalchemy as sa",
            "from alembic import op",
            f"revision = '{number:04}'",
            f"down_revision = {f'{number - 1:04}' if number > 1 else None!r}",
            "def upgrade():",
            *(f"    {line}" for line in dedent(up).strip().splitlines()),
            "def downgrade():",
            *(f"    {line}" for line in dedent(down).strip().splitlines()),
        ]
        (folder / f"{number:04}_x.py").write_text("\n".join(parts))

    return write


@pytest.fixture
async def owner(mysql: MySQLServer) -> DatabaseSettings:
    return await mysql.provision(f"migrated_{next(_numbers)}", role="owner")


async def migrate(owner: DatabaseSettings, **how: Any) -> tuple[str | None, str | None]:
    return await runner.migrate("shop", "shop", owner, ENGINE, **how)


async def status(owner: DatabaseSettings) -> runner.Status:
    return await runner.status("shop", "shop", owner, ENGINE)


async def tables(mysql: MySQLServer, owner: DatabaseSettings) -> set[str]:
    rows = await mysql.as_admin("SHOW TABLES", owner.name)
    own = {"alembic_version", "migration_journal"}
    return {str(name) for row in rows for name in row.values()} - own


async def test_up_and_down_and_up_again(
    mysql: MySQLServer, owner: DatabaseSettings, revise: Revise
) -> None:
    revise(1, FIRST, FIRST_BACK)
    assert (await status(owner)).pending == ("0001",)
    for _ in range(2):
        assert await migrate(owner) == (None, "0001")
        assert await migrate(owner) == ("0001", "0001")
        assert await status(owner) == runner.Status("0001", "0001", (), None)
        assert await migrate(owner, to="base") == ("0001", None)
        assert await tables(mysql, owner) == set()


async def test_one_run_at_a_time(owner: DatabaseSettings, revise: Revise) -> None:
    revise(1, FIRST, FIRST_BACK)
    results = await asyncio.gather(*(migrate(owner) for _ in range(4)))
    assert sum(before is None for before, _ in results) == 1


async def test_a_lock_that_somebody_holds_is_not_waited_for_for_ever(
    owner: DatabaseSettings, revise: Revise
) -> None:
    revise(1, FIRST, FIRST_BACK)
    async with ENGINE.session(owner, "shop", wait_seconds=60, lock_seconds=1):
        with pytest.raises(MigrationError, match="another migration has not finished within 1 s"):
            await migrate(owner, lock_seconds=1)


async def test_the_sql_is_printed_and_nothing_is_changed(
    mysql: MySQLServer, owner: DatabaseSettings, revise: Revise
) -> None:
    revise(1, FIRST, FIRST_BACK)
    up = await runner.statements("shop", "shop", owner, ENGINE)
    assert "CREATE TABLE things" in up
    assert "INSERT INTO things" in up
    assert await tables(mysql, owner) == set()
    await migrate(owner)
    down = await runner.statements("shop", "shop", owner, ENGINE, to="base")
    assert "DROP TABLE things" in down
    assert await tables(mysql, owner) == {"things"}


async def test_a_revision_that_fails_half_way_says_where_and_goes_on_from_there(
    mysql: MySQLServer, owner: DatabaseSettings, revise: Revise
) -> None:
    revise(1, FIRST, FIRST_BACK)
    begins = (
        'op.execute("INSERT INTO things VALUES (3)")\n'
        'op.create_table("more", sa.Column("id", sa.Integer))\n'
    )
    revise(2, begins + 'op.execute("ALTER TABLE missing ADD x INT")', 'op.drop_table("more")')
    for _ in range(2):
        with pytest.raises(
            MigrationError, match=r"up 0002 failed at its statement 3 \(ALTER TABLE missing"
        ):
            await migrate(owner)
        found = await status(owner)
        assert (found.revision, found.pending) == ("0001", ("0002",))
        assert found.half_done == "up 0002, 2 of its statements done"
    # Corrected from there on.
    revise(2, begins + 'op.execute("ALTER TABLE more ADD x INT")', 'op.drop_table("more")')
    assert await migrate(owner) == ("0001", "0002")
    rows = await mysql.as_admin("SELECT id FROM things", owner.name)
    assert sorted(row["id"] for row in rows) == [1, 2, 3]
    assert (await status(owner)).half_done is None
    # And as whole as any: down, and up from its first statement on.
    await migrate(owner, to="0001")
    assert await tables(mysql, owner) == {"things"}
    await mysql.as_admin("DELETE FROM things WHERE id = 3", owner.name)
    assert await migrate(owner) == ("0001", "0002")
    assert await tables(mysql, owner) == {"things", "more"}


async def test_what_is_done_must_not_be_rewritten(owner: DatabaseSettings, revise: Revise) -> None:
    revise(1, 'op.execute("CREATE TABLE a (id INT)")\nop.execute("ALTER TABLE missing ADD x INT")')
    with pytest.raises(MigrationError, match="statement 2"):
        await migrate(owner)
    revise(1, 'op.execute("CREATE TABLE b (id INT)")\nop.execute("SELECT 1")')
    with pytest.raises(MigrationError, match="statement 1 is another one than"):
        await migrate(owner)
    revise(1, "pass")
    with pytest.raises(MigrationError, match="done 1 statements of it, and now it has 0"):
        await migrate(owner)


async def test_a_run_that_was_killed_between_a_statement_and_its_mark_is_finished_by_the_next(
    mysql: MySQLServer, owner: DatabaseSettings, revise: Revise
) -> None:
    revise(1, 'op.execute("CREATE TABLE a (id INT)")\nop.execute("ALTER TABLE missing ADD x INT")')
    with pytest.raises(MigrationError, match="statement 2"):
        await migrate(owner)
    await mysql.as_admin("UPDATE migration_journal SET done = FALSE", owner.name)
    revise(1, 'op.execute("CREATE TABLE a (id INT)")\nop.execute("CREATE TABLE b (id INT)")')
    assert await migrate(owner) == (None, "0001")
    assert await tables(mysql, owner) == {"a", "b"}

"""Backups of real servers, of both kinds: taken, proven, and put in place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from services.backup.mysql.scratch import PREPARED
from tests.integration.authority import eventually
from tests.integration.backup.conftest import Server
from tests.integration.backup.on_mysql import OnMySQL
from tests.integration.containers import File

_LATER = '''"""Of a release to come."""
from alembic import op

revision = "9999"
down_revision = "{before}"


def upgrade() -> None:
    op.execute("ALTER TABLE kept ADD COLUMN later int")
    op.execute("CREATE TABLE more (id int PRIMARY KEY)")
'''


async def test_a_dropped_table_comes_back_identical_while_somebody_writes(server: Server) -> None:
    await server.fill()
    before, pod = await server.contents(), server.pod
    async with server.writer() as written:

        async def more(than: int = 20) -> bool:
            return written[0] > than

        await eventually(more)
        name = await pod.take("--drill")
        await server.drop()
        done = await pod.restore(name)
        so_far = written[0]
        await eventually(lambda: more(so_far + 20))
        assert await server.contents() == before
    assert await server.let_in()
    assert await server.left() == []
    assert done["kept"].startswith(server.name)
    row = (await pod.backups())[0]
    assert row["backup"] == name
    assert row["encrypted"]
    assert row["proven"]
    assert len(row["sha256"]) == 64
    assert row["position"]


async def test_a_drill_starts_its_server_in_an_image_without_prepared_data_too(
    on_mysql: OnMySQL,
) -> None:
    await on_mysql.fill()
    pod = on_mysql.pod
    pod.container.execute(f"mv {PREPARED} {PREPARED}.away", user="0")
    try:
        await pod.take("--drill")
    finally:
        pod.container.execute(f"mv {PREPARED}.away {PREPARED}", user="0")
    assert (await pod.backups())[0]["proven"]


async def test_a_moment_between_two_writes_brings_exactly_what_was_there(server: Server) -> None:
    await server.fill()
    pod = server.pod
    async with pod.archiver(), server.writer():
        await pod.take()
        await server.add("first")
        moment = await server.now()
        await server.add("second")
        await server.archived()
        await pod.do("pitr", "--to", moment.isoformat())
    assert await server.said() == ["a", "b", "first"]
    assert await server.let_in()
    assert await server.left() == []


async def test_a_moment_outside_of_backups_and_archive_is_refused(server: Server) -> None:
    await server.fill()
    pod = server.pod
    async with pod.archiver():
        await pod.take()
        await server.archived()
    await server.add("later")
    for moment, says in (
        (await server.now(), "archive"),
        (await server.now() + timedelta(hours=1), ""),
        (await server.now() - timedelta(days=400), "no backup"),
    ):
        assert says in await pod.refused("pitr", "--to", moment.isoformat())
    assert "with its zone" in await pod.refused("pitr", "--to", "yesterday")
    assert await server.said() == ["a", "b", "later"]


async def test_moments_around_a_restore_are_had_or_refused_and_never_something_else(
    server: Server,
) -> None:
    await server.fill()
    pod = server.pod
    async with pod.archiver():
        name = await pod.take()
        await server.add("before")
        before = await server.archived()
        await pod.restore(name)
        await server.add("after")
        after = await server.archived()
        across = await pod.act("pitr", "--to", after.isoformat())
        # PostgreSQL's log holds the swap itself. MySQL's does not, but its restore ends in a
        # backup that the moment is after.
        assert across.code == 0, across.said
        assert await server.said() == ["a", "b", "after"]
        back = await pod.act("pitr", "--to", before.isoformat())
    assert back.code == 0, back.said
    assert await server.said() == ["a", "b", "before"]


async def test_a_change_of_a_table_from_another_database_is_refused_and_not_left_out(
    on_mysql: OnMySQL,
) -> None:
    await on_mysql.fill()
    pod = on_mysql.pod
    await on_mysql.ask("ALTER TABLE client_db.kept ADD early INT", database="mysql")
    async with pod.archiver():
        await pod.take()
        await on_mysql.ask("ALTER TABLE client_db.kept ADD fine INT")
        before = await on_mysql.archived()
        await on_mysql.ask("ALTER TABLE `client_db` . kept ADD late INT", database="mysql")
        after = await on_mysql.archived()
        reason = await pod.refused("pitr", "--to", after.isoformat())
        assert "ADD late" in reason
        assert "another database was in use" in reason
        await pod.do("pitr", "--to", before.isoformat())
    columns = {row["Field"] for row in await on_mysql.ask("SHOW COLUMNS FROM kept")}
    assert {"early", "fine"} < columns
    assert "late" not in columns


async def _at_head(server: Server) -> str:
    """The tables' schema is the newest that the image knows; which that is."""
    head = server.pod.shell(
        f"ls /app/services/{server.package}/migrations | grep -o '^[0-9]*' | tail -1"
    ).strip()
    await server.ask(f"UPDATE alembic_version SET version_num = '{head}'")
    return head


@contextmanager
def _newer_code(server: Server, head: str) -> Iterator[None]:
    """The image has a revision more."""
    later = f"/app/services/{server.package}/migrations/9999_later.py"
    server.pod.container.put({later: File(_LATER.format(before=head).encode())})
    try:
        yield
    finally:
        server.pod.container.execute(f"rm {later}", user="0")


async def _brought_up(server: Server, reached: str | None) -> None:
    assert reached == "9999"
    assert (await server.ask("SELECT later FROM kept LIMIT 1"))[0]["later"] is None
    # What the revision made is the application's, as what was restored.
    assert await server.contents()


async def test_an_older_schema_is_refused_and_with_migrate_arrives_migrated(server: Server) -> None:
    await server.fill()
    pod, package = server.pod, {"package": server.package}
    head = await _at_head(server)
    name = await pod.take(**package)
    with _newer_code(server, head):
        await server.add("new")
        reason = await pod.refused("restore", "--backup", name, **package)
        assert f"its schema revision is {head} and this code needs 9999" in reason
        assert "--migrate" in reason
        assert await server.said() == ["a", "b", "new"]
        assert await server.left() == []
        done = await pod.restore(name, "--migrate", **package)
    assert await server.said() == ["a", "b"]
    await _brought_up(server, done["revision"])


async def test_a_moment_before_a_migration_arrives_migrated_when_that_is_said(
    server: Server,
) -> None:
    await server.fill()
    pod, package = server.pod, {"package": server.package}
    head = await _at_head(server)
    async with pod.archiver():
        await pod.take(**package)
        await server.add("first")
        moment = (await server.now()).isoformat()
        await server.add("second")
        await server.archived()
        with _newer_code(server, head):
            reason = await pod.refused("pitr", "--to", moment, **package)
            assert f"its schema revision is {head} and this code needs 9999" in reason
            assert await server.said() == ["a", "b", "first", "second"]
            done = await pod.do("pitr", "--to", moment, "--migrate", **package)
    assert await server.said() == ["a", "b", "first"]
    await _brought_up(server, done.line("restored")["revision"])


async def test_a_schema_of_a_later_release_is_refused(server: Server) -> None:
    await server.fill()
    await server.ask("UPDATE alembic_version SET version_num = 'zzz'")
    name = await server.pod.take(package=server.package)
    for more in ((), ("--migrate",)):
        reason = await server.pod.refused(
            "restore", "--backup", name, *more, package=server.package
        )
        assert "unknown to this code" in reason
    assert await server.left() == []


async def test_retention_keeps_what_the_kept_backups_need(server: Server) -> None:
    await server.fill()
    pod = server.pod
    async with pod.archiver():
        for said in ("one", "two"):
            await pod.take("--drill")
            await server.add(said)
            await server.archived()
        kept = len(pod.stored(f"{server.folder}/{server.archive}"))
        pruned = (await pod.do("prune", retention={"count": 1, "days": 0})).line("backups_pruned")
        assert pruned["kept"] == 1
        assert len(pruned["deleted"]) == 1
        assert pruned["archive_deleted"] > 0
        assert len(pod.stored(f"{server.folder}/{server.archive}")) < kept
        again = (await pod.do("prune", retention={"count": 1, "days": 0})).line("backups_pruned")
        assert (again["deleted"], again["archive_deleted"]) == ([], 0)
        await server.add("three")
        moment = await server.archived()
        await server.add("four")
        await pod.do("pitr", "--to", moment.isoformat())
    assert await server.said() == ["a", "b", "one", "two", "three"]

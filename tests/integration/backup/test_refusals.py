"""What is refused, with a sentence, and nothing changed."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.integration.authority import eventually
from tests.integration.backup.conftest import Server
from tests.integration.backup.on_mysql import OnMySQL
from tests.integration.backup.on_postgres import OnPostgres
from tests.integration.backup.pod import BACKUPS, SECRETS, SMALL

_BASE = "base.tar.gz.age"
_WHOLE, _DAMAGED = "/tmp/whole", "/tmp/damaged"


@pytest.fixture(scope="module")
async def dumps(on_mysql: OnMySQL) -> tuple[str, str]:
    return await _taken(on_mysql)


@pytest.fixture(scope="module")
async def base_backups(on_postgres: OnPostgres) -> tuple[str, str]:
    return await _taken(on_postgres)


async def _taken(server: Server) -> tuple[str, str]:
    """Two backups, for all that are damaged in turn."""
    await server.fill()
    names = await server.pod.take(), await server.pod.take()
    server.pod.shell(f"rm -rf {_WHOLE} && cp -r {BACKUPS} {_WHOLE}")
    return names


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("truncate -s -100 {name}", "truncated"),
        ("printf X | dd of={name} bs=1 seek=400 conv=notrunc status=none", "checksum"),
        ("rm {name}", "No such file"),
        ("rm {name}.manifest.json", "no backup"),
        ("sed -i s/client_db/other_db/ {name}.manifest.json", "of mysql database other_db"),
        ("echo '{{}}' > {name}.manifest.json", "not a manifest"),
    ],
)
async def test_a_damaged_or_foreign_dump_is_refused(
    on_mysql: OnMySQL, dumps: tuple[str, str], damage: str, says: str
) -> None:
    await _refused_after(on_mysql, dumps, damage, says)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("truncate -s -100 {name}/" + _BASE, _BASE),
        ("printf X | dd of={name}/" + _BASE + " bs=1 seek=70000 conv=notrunc status=none", _BASE),
        ("cp {other}/" + _BASE + " {name}/" + _BASE, "not what the manifest says"),
        ("rm {name}/0*", "No such file"),
        ('sed -i s/"localhost"/"elsewhere"/ {name}.manifest.json', "of postgres on elsewhere"),
    ],
)
async def test_a_damaged_or_foreign_base_backup_is_refused(
    on_postgres: OnPostgres, base_backups: tuple[str, str], damage: str, says: str
) -> None:
    await _refused_after(on_postgres, base_backups, damage, says)


async def _refused_after(server: Server, taken: tuple[str, str], damage: str, says: str) -> None:
    pod, (name, other) = server.pod, taken
    folder = server.folder.replace(BACKUPS, _DAMAGED)
    pod.shell(f"rm -rf {_DAMAGED} && cp -r {_WHOLE} {_DAMAGED}")
    pod.shell(damage.format(name=f"{folder}/{name}", other=f"{folder}/{other}"))
    storage = {"kind": "folder", "path": _DAMAGED}
    assert says in await pod.refused("restore", "--backup", name, storage=storage)
    assert await server.said() == ["a", "b"]
    assert await server.left() == []


async def test_the_wrong_key_or_none_opens_nothing_and_a_drill_says_so(server: Server) -> None:
    await server.fill()
    pod, keys = server.pod, server.pod.spec["encryption"]
    name = await pod.take(encryption={**keys, "identity_file": None})  # taking needs no key
    for identity, says in (("other-identity", "cannot be decrypted"), ("ca", "no private key")):
        other = {**keys, "identity_file": f"{SECRETS}/{identity}"}
        reason = await pod.refused("restore", "--backup", name, encryption=other)
        assert says in reason
        assert not re.search("AGE-SECRET-KEY-1[A-Z0-9]", reason)
    assert "identity_file" in await pod.refused("drill", encryption={**keys, "identity_file": None})
    assert (await pod.backups())[0]["proof"] == "not yet"  # it says nothing of the backup
    await pod.do("drill")
    await pod.refused("drill", encryption={**keys, "identity_file": f"{SECRETS}/other-identity"})
    assert (await pod.backups())[0]["proof"] == "passed"


async def test_a_wrong_authority_and_a_wrong_password_are_refused(server: Server) -> None:
    pod, told = server.pod, server.pod.spec["server"]
    foreign = await pod.refused("take", server={**told, "ca_file": f"{SECRETS}/other-ca"})
    assert "certificate verify failed" in foreign.lower().replace("_", " ")
    missing = await pod.refused("take", server={**told, "ca_file": "/tmp/none"})
    assert "/tmp/none" in missing
    account = {**told["backup"], "password_file": f"{SECRETS}/application"}
    assert "backup_user" in await pod.refused("take", server={**told, "backup": account})


async def test_without_keys_a_backup_is_plain_and_restores(on_mysql: OnMySQL) -> None:
    await on_mysql.fill()
    name = await on_mysql.pod.take(encryption=None)
    assert re.fullmatch(r"clients-\d{8}-\d{6}\.sql\.gz", name)
    tail = on_mysql.pod.shell(f"zcat {on_mysql.folder}/{name} | tail -1")
    assert "-- Dump completed" in tail
    await on_mysql.pod.restore(name, encryption=None)


async def test_a_broken_replica_is_not_backed_up(on_mysql: OnMySQL) -> None:
    server = on_mysql
    await server.fill()
    await server.ask(
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 9,"
        " SOURCE_USER = 'nobody', SOURCE_SSL = 1, SOURCE_AUTO_POSITION = 1",
        "START REPLICA",
    )
    try:
        reason = await server.pod.refused("take")
        assert "a replica whose replication is broken" in reason
        assert "take the backup from the source" in reason
    finally:
        await server.ask("STOP REPLICA", "RESET REPLICA ALL")
    await server.ask("SET GLOBAL read_only = ON")
    try:
        assert "read_only" in await server.pod.refused("take")
    finally:
        await server.ask("SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF")
    await server.ask("DROP TABLE alembic_version")
    assert "run its migrations" in await server.pod.refused("take", package=server.package)
    assert server.pod.stored() == []


async def test_a_full_disk_leaves_no_backup_and_a_full_pod_no_restore(server: Server) -> None:
    await server.fill()
    await server.grow(1)
    pod = server.pod
    name = await pod.take()
    before = await server.contents()
    with pod.small_disk(512) as small:
        assert "No space left" in await pod.refused("take", storage=small)
        assert pod.stored(SMALL) == []
        full = await pod.refused("drill" if server.name == "client_db" else "restore",
            *(() if server.name == "client_db" else ("--backup", name)), scratch=SMALL)  # fmt: skip
        assert "No space left" in full or "scratch server did not start" in full
    assert await server.contents() == before
    assert await server.left() == []
    await pod.do("drill")


async def test_of_two_at_once_one_goes_on_and_the_other_is_refused(server: Server) -> None:
    await server.fill()
    pod = server.pod
    name = await pod.take()
    # Not by a table in use: MySQL's swap waits 15 s for that, of which the second one takes 5.
    async with server.loaded_held_up():
        first = asyncio.create_task(pod.act("restore", "--backup", name))
        await eventually(server.loading)
        assert "another" in await pod.refused("restore", "--backup", name)
    done = await first
    assert done.code == 0, done.said


async def test_changes_are_not_replayed_across_a_restore_without_a_backup_after_it(
    on_mysql: OnMySQL,
) -> None:
    server = on_mysql
    await server.fill()
    async with server.pod.archiver():
        name = await server.pod.take()
        await server.pod.restore(name)
        moment = await server.archived()
    after = (await server.pod.backups())[-1]["backup"]
    server.pod.shell(f"rm {server.folder}/{after}.manifest.json")
    reason = await server.pod.refused("pitr", "--to", moment.isoformat())
    assert "other data were put in place" in reason
    assert "changes cannot be replayed across that" in reason

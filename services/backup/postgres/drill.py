"""Whether a backup can be restored: by restoring it beside the live server, and comparing."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from services.backup.catalogue import Entry, Proof, Table
from services.backup.engine import BackupError, Job, NotOpened
from services.backup.postgres import programs, scratch, tables


async def drill(job: Job, entry: Entry) -> Proof:
    """Restore it, recover to its instant, compare every row, check every index and page."""
    began = time.monotonic()
    passed, version = False, "none"
    try:
        async with scratch.unpacked(job, entry) as place:
            async with scratch.running(place, at_instant(entry)):
                connection = await place.connect()
                version = await connection.fetchval("SHOW server_version")
                await connection.close()
                found = await everything(place)
                if entry.tables and (lines := tables.differences(entry.tables, found)):
                    raise BackupError("; ".join(lines[:5]))
                _indexes(place)
            pages = _pages(place)
        passed, reason = True, _sentence(entry, found, pages)
    except NotOpened:
        raise
    except BackupError as error:
        reason = str(error)
    return Proof(
        name=entry.name,
        when=datetime.now(UTC),
        passed=passed,
        reason=reason,
        seconds=round(time.monotonic() - began, 1),
        version=version,
    )


def at_instant(entry: Entry) -> dict[str, str]:
    """The recovery's target: the instant whose contents the manifest names."""
    return {"recovery_target_name": entry.name}


async def everything(place: scratch.Scratch) -> dict[str, Table]:
    """What the tables of all databases hold."""
    connection = await place.connect()
    names = await connection.fetch(
        "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate"
        " AND datconnlimit <> 0 AND datname <> 'postgres' ORDER BY 1"
    )
    await connection.close()
    found: dict[str, Table] = {}
    for row in names:
        own = await place.connect(row["datname"])
        found |= await tables.contents(own, row["datname"])
        await own.close()
    return found


def _indexes(place: scratch.Scratch) -> None:
    """Tables against themselves, and that each row is found in each of its indexes."""
    arguments = ("--all", "--install-missing", "--heapallindexed", "--jobs=1", "--no-password")
    try:
        programs.run("pg_amcheck", arguments, place.environment)
    except BackupError as error:
        raise BackupError(f"tables or indexes are broken: {error}") from error


def _pages(place: scratch.Scratch) -> bool:
    """Every page's checksum, where the cluster has them."""
    control = programs.run("pg_controldata", [str(place.data)])
    if any(
        line.split() == ["Data", "page", "checksum", "version:", "0"]
        for line in control.splitlines()
    ):
        return False
    programs.run("pg_checksums", ["--check", f"--pgdata={place.data}"])
    return True


def _sentence(entry: Entry, found: dict[str, Table], pages: bool) -> str:
    rows = sum(one.rows for one in found.values())
    same = f"identical: {rows} rows in {len(found)} tables"
    if not entry.tables:
        same = f"restored {rows} rows in {len(found)} tables, not compared: writers left no instant"
    return same + ("" if pages else "; the server has no page checksums")

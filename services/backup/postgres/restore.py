"""A database out of a backup, put in the place of the live one in a single transaction.

The live server goes on until the swap. Nothing that a killed restore leaves stands in anybody's
way: a copy that nobody connects to, which the next run drops.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

import asyncpg

from services.backup.catalogue import Entry
from services.backup.engine import BackupError, Job, Restored
from services.backup.postgres import recover, scratch, tables
from services.backup.postgres.copy import RESTORING, copy, look, migrated, quote
from services.backup.postgres.sessions import alone, session
from services.backup.schema import older
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)

# Longer than it takes to end sessions, shorter than anybody's patience.
_SWAP_SECONDS = 30


async def restore(job: Job, entry: Entry, *, migrate: bool) -> Restored:
    """See `Engine`."""
    _ours(job, entry)
    return await _put_in_place(job, entry, entry.taken, recover.at_backup(job, entry), migrate)


async def pitr(job: Job, to: datetime, *, migrate: bool) -> Restored:
    """See `Engine`."""
    entry = recover.newest_before(job, to)
    _ours(job, entry)
    return await _put_in_place(job, entry, to, recover.at_moment(job, entry, to), migrate)


async def unlock(job: Job) -> str:
    """See `Engine`."""
    async with session(job.spec, job.spec.server.administrator) as admin:
        await alone(admin, "restore")
        return await _tidy(admin, job.spec.database)


def _ours(job: Job, entry: Entry) -> None:
    if entry.engine != "postgres" or entry.origin.host != job.spec.server.host:
        raise BackupError(
            f"{entry.name} is a backup of {entry.engine} on {entry.origin.host}, not of"
            f" {job.spec.server.host}; restore it there"
        )


async def _put_in_place(
    job: Job,
    entry: Entry,
    to: datetime,
    recovered: AbstractAsyncContextManager[scratch.Scratch],
    migrate: bool,
) -> Restored:
    began, database = time.monotonic(), job.spec.database
    async with session(job.spec, job.spec.server.administrator) as admin:
        await alone(admin, "restore")
        if (did := await _tidy(admin, database)) != _NOTHING:
            log.warning("restore_cleaned_up", database=database, did=did)
        async with recovered as place:
            try:
                source = await look(place, database)
                older_schema = older(job, source.revision, allowed=migrate)
                found, revision = await copy(job, admin, place, source), source.revision
                expected = tables.of_database(entry.tables, database)
                lines = tables.differences(expected, found) if to == entry.taken else []
                if lines and expected:
                    raise BackupError(
                        f"{entry.name} does not hold what it says: {'; '.join(lines[:5])}"
                    )
                if older_schema:
                    found, revision = await migrated(job, admin, source)
                kept = await _swap(job, admin)
                await _forget_older(admin, database, kept)
            except BaseException:
                # With the server gone this fails too; the next run does it then.
                with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    await _tidy(admin, database)
                raise
    return Restored(
        name=entry.name,
        to=to,
        revision=revision,
        tables=len(found),
        rows=sum(one.rows for one in found.values()),
        kept=kept,
        seconds=round(time.monotonic() - began, 3),
    )


async def _exists(admin: asyncpg.Connection, database: str) -> bool:
    found = await admin.fetchval("SELECT true FROM pg_database WHERE datname = $1", database)
    return found is True


async def _swap(job: Job, admin: asyncpg.Connection) -> str | None:
    """Two renames in one transaction.

    The first takes the server's own lock on the live database: who connects now waits, who is
    connected is sent away, and when this process dies the transaction and the lock go with it.
    """
    live = job.spec.database
    copied = quote(live + RESTORING)
    if not await _exists(admin, live):
        async with admin.transaction():
            await admin.execute(f"ALTER DATABASE {copied} RENAME TO {quote(live)}")
            await admin.execute(f"ALTER DATABASE {quote(live)} CONNECTION LIMIT -1")
        return None
    kept = f"{live}_before_{datetime.now(UTC):%Y%m%d%H%M%S}"
    async with session(job.spec, job.spec.server.administrator) as other:
        deadline = time.monotonic() + _SWAP_SECONDS
        while True:
            try:
                async with admin.transaction():
                    await _alone_in(admin, other, live, kept)
                    # Superusers may look into it; the services' roles may not write there.
                    await admin.execute(f"ALTER DATABASE {quote(kept)} CONNECTION LIMIT 0")
                    await admin.execute(f"ALTER DATABASE {copied} RENAME TO {quote(live)}")
                    await admin.execute(f"ALTER DATABASE {quote(live)} CONNECTION LIMIT -1")
                return kept
            except asyncpg.ObjectInUseError as error:
                if time.monotonic() > deadline:
                    raise BackupError(
                        f"{live} could not be had alone ({error}); it is as it was: stop whoever"
                        " holds it, and restore again"
                    ) from error


async def _forget_older(admin: asyncpg.Connection, live: str, newest: str | None) -> None:
    """One is kept, for a restore that should not have been: each is in every backup as well."""
    found = await admin.fetch(
        "SELECT datname FROM pg_database WHERE datname ~ ('^' || $1 || '_before_[0-9]{14}$')"
        " AND datname IS DISTINCT FROM $2",
        live,
        newest,
    )
    for row in found:
        try:
            await admin.execute(f"DROP DATABASE {quote(row['datname'])} WITH (FORCE)")
        except asyncpg.PostgresError as error:  # the restore is done all the same
            log.warning("older_data_not_dropped", database=row["datname"], reason=str(error))


async def _alone_in(
    admin: asyncpg.Connection, other: asyncpg.Connection, live: str, kept: str
) -> None:
    renaming = asyncio.create_task(
        admin.execute(f"ALTER DATABASE {quote(live)} RENAME TO {quote(kept)}")
    )
    while not renaming.done():
        await other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", live
        )
        await asyncio.wait({renaming}, timeout=0.05)
    await renaming


_NOTHING = "nothing was left to clean up"


async def _tidy(admin: asyncpg.Connection, database: str) -> str:
    """A copy that never took its place is nobody's."""
    name = database + RESTORING
    if not await _exists(admin, name):
        return _NOTHING
    await admin.execute(f"DROP DATABASE {quote(name)} WITH (FORCE)")
    return f"dropped {name}; {database} was not touched"

"""One instant whose contents are known: what a drill compares with."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from services.backup.catalogue import Table
from services.backup.postgres import tables
from services.backup.postgres.sessions import one, session
from services.backup.spec import BackupSpec
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)

_SECONDS: Final = 30
# Less than the server's deadlock_timeout: whoever waits for each other, it is never a service that
# is told to give up.
_LOCK_WAIT: Final = "200ms"

_DATABASES: Final = """
SELECT datname FROM pg_database
WHERE datallowconn AND NOT datistemplate AND datconnlimit <> 0 AND datname <> 'postgres'
ORDER BY 1
"""

_NAMES: Final = """
SELECT string_agg(quote_ident(n.nspname) || '.' || quote_ident(c.relname), ', ' ORDER BY c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
  AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
"""


@dataclass(frozen=True)
class Instant:
    """A point in the log, and what the tables held when it was written."""

    lsn: str
    timeline: int
    when: datetime
    tables: dict[str, Table]
    """Empty when writers left no instant; the backup is as good, but cannot be compared."""


async def instant(spec: BackupSpec, admin: asyncpg.Connection, name: str) -> Instant:
    """Write the restore point `name` while nothing is being written to any table.

    Writers wait for the milliseconds that it takes to begin reading; the reading itself is of that
    moment, whatever they write then.
    """
    databases = [row["datname"] for row in await admin.fetch(_DATABASES)]
    async with AsyncExitStack() as stack:
        readers = {
            database: await stack.enter_async_context(session(spec, spec.server.backup, database))
            for database in databases
        }
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                async with _locked(spec, databases):
                    for reader in readers.values():
                        await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                        await reader.execute("SELECT 1")  # the snapshot is of the first statement
                    point = await _restore_point(admin, name)
                break
            except _BusyError:
                for reader in readers.values():
                    await reader.execute("ROLLBACK")
            if time.monotonic() > deadline:
                log.warning("no_still_instant", seconds=_SECONDS)
                return await _restore_point(admin, name)
            await asyncio.sleep(random.uniform(0.05, 0.3))  # noqa: S311 - no secret
        found: dict[str, Table] = {}
        for database, reader in readers.items():
            found |= await tables.contents(reader, database)
        return Instant(point.lsn, point.timeline, point.when, found)


class _BusyError(Exception):
    """Somebody writes."""


@asynccontextmanager
async def _locked(spec: BackupSpec, databases: Sequence[str]) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for database in databases:
            locker = await stack.enter_async_context(session(spec, spec.server.backup, database))
            names = await locker.fetchval(_NAMES)
            if names is None:
                continue
            await locker.execute("BEGIN")
            await locker.execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'")
            try:
                await locker.execute(f"LOCK TABLE {names} IN SHARE MODE")
            except (
                asyncpg.LockNotAvailableError,
                asyncpg.DeadlockDetectedError,
                asyncpg.UndefinedTableError,
            ) as error:
                raise _BusyError from error
        yield


async def _restore_point(admin: asyncpg.Connection, name: str) -> Instant:
    row = await one(
        admin,
        "SELECT pg_create_restore_point($1)::text AS lsn, clock_timestamp() AS when,"
        " (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline",
        name,
    )
    # Whoever waits for the point in the log must not wait for the next writer.
    await admin.execute("SELECT pg_switch_wal()")
    return Instant(row["lsn"], row["timeline"], row["when"], {})

"""One database of a scratch server, copied beside the live one and compared."""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import dataclass

import asyncpg

from services.backup.catalogue import Table
from services.backup.engine import BackupError, Job
from services.backup.postgres import programs, scratch, tables
from services.backup.postgres.sessions import session
from services.backup.schema import migrate

RESTORING = "_restoring"
"""What follows the database's name in that of its copy on the way."""


def quote(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


@dataclass(frozen=True)
class Source:
    """What the scratch server has of the database."""

    tables: dict[str, Table]
    revision: str | None
    owner: str


async def copy(
    job: Job, admin: asyncpg.Connection, place: scratch.Scratch, source: Source
) -> dict[str, Table]:
    """Make `<database>_restoring`; gives what it holds. Raises BackupError."""
    database, owner = job.spec.database, source.owner
    name = database + RESTORING
    if not await admin.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", owner):
        raise BackupError(
            f"the server has no role {owner}, which owns {database}: provision it, then restore"
        )
    # Closed to everybody but superusers until it takes its place.
    await admin.execute(
        f"CREATE DATABASE {quote(name)} OWNER {quote(owner)} TEMPLATE template0 ENCODING 'UTF8'"
        " CONNECTION LIMIT 0"
    )
    await _same_rights(admin, database, name, owner)
    _pour(job, place, database, name)
    async with session(job.spec, job.spec.server.administrator, name) as own:
        await own.execute("ANALYZE")  # no service should meet a planner that knows nothing
        found = await tables.contents(own, database)
        broken = await own.fetchval(
            "SELECT string_agg(conname, ', ') FROM pg_constraint WHERE NOT convalidated"
        )
        arrived = await tables.revision(own)
    if lines := tables.differences(source.tables, found):
        raise BackupError(f"the copy is not what was restored: {'; '.join(lines[:5])}")
    if broken:
        raise BackupError(f"constraints that were never validated: {broken}")
    if arrived != source.revision:
        raise BackupError(f"the copy has revision {arrived}, not {source.revision}")
    return found


async def look(place: scratch.Scratch, database: str) -> Source:
    """Raises BackupError when it has none of that name."""
    try:
        own = await place.connect(database)
    except asyncpg.InvalidCatalogNameError:
        raise BackupError(f"the backup holds no database {database}") from None
    owner = await own.fetchval(
        "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = $1", database
    )
    found = await tables.contents(own, database)
    revision = await tables.revision(own)
    await own.close()
    return Source(found, revision, owner)


async def migrated(
    job: Job, admin: asyncpg.Connection, source: Source
) -> tuple[dict[str, Table], str | None]:
    """The copy, brought to the revision this code needs; gives what it holds then."""
    name, user = job.spec.database + RESTORING, quote(job.spec.server.administrator.user)
    # Nobody else is let in yet, and what a revision makes has to be the owner's.
    role = f"ALTER ROLE {user} IN DATABASE {quote(name)}"
    await admin.execute(f"{role} SET role = {quote(source.owner)}")
    await asyncio.to_thread(migrate, job, "postgres", name)
    await admin.execute(f"{role} RESET role")
    async with session(job.spec, job.spec.server.administrator, name) as own:
        return await tables.contents(own, job.spec.database), await tables.revision(own)


async def _same_rights(admin: asyncpg.Connection, database: str, name: str, owner: str) -> None:
    """Who may connect, and settings of the database, as on the one it will replace."""
    await admin.execute(f"REVOKE ALL ON DATABASE {quote(name)} FROM PUBLIC")
    await admin.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {quote(name)} TO {quote(owner)}")
    rights = await admin.fetch(
        "SELECT a.privilege_type AS what, r.rolname AS who"
        " FROM pg_database d, aclexplode(d.datacl) a JOIN pg_roles r ON r.oid = a.grantee"
        " WHERE d.datname = $1",
        database,
    )
    for row in rights:
        await admin.execute(f"GRANT {row['what']} ON DATABASE {quote(name)} TO {quote(row['who'])}")
    settings = await admin.fetch(
        "SELECT split_part(one, '=', 1) AS name,"
        " quote_literal(substr(one, strpos(one, '=') + 1)) AS value"
        " FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase,"
        " unnest(s.setconfig) one WHERE d.datname = $1 AND s.setrole = 0",
        database,
    )
    for row in settings:
        await admin.execute(
            f"ALTER DATABASE {quote(name)} SET {quote(row['name'])} TO {row['value']}"
        )


def _pour(job: Job, place: scratch.Scratch, database: str, name: str) -> None:
    """pg_dump | pg_restore, in one transaction, owners and rights kept."""
    with programs.logged_in(job.spec, job.spec.server.administrator) as live:
        said = place.root / "pg_dump.said"
        with said.open("wb") as errors:
            dump = subprocess.Popen(  # noqa: S603
                [str(programs.BINARIES / "pg_dump"), "--format=custom", "--compress=0",
                 "--no-password", database],
                env=dict(place.environment), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        try:
            programs.run(
                "pg_restore",
                ["--exit-on-error", "--single-transaction", "--no-password", f"--dbname={name}"],
                live,
                stdin=dump.stdout,
            )
        finally:
            if dump.stdout is not None:
                dump.stdout.close()
            dump.wait()
        if dump.returncode:
            raise BackupError(programs.failed("pg_dump", dump.returncode, said.read_text()))

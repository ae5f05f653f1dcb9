"""Roles and databases of a PostgreSQL server, idempotently.

Each database belongs to a role of its own that can do nothing elsewhere: no superuser, no role or
database creation, and nobody else may connect. Passwords are set on every run, so that a rotated
secret needs only another run. A role that was made here and left the spec may no longer log in;
its database and all that is in it stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import asyncpg

from services.provision import postgres_administrator
from services.provision.postgres_logins import Turns, bring, exists, quote, shut_out
from services.provision.spec import (
    LOGIN_SECONDS,
    BackupAccountSpec,
    DatabaseSpec,
    ExporterAccountSpec,
    PostgresSpec,
    ProvisionError,
    second,
)
from services.shared.postgres.database import connect
from services.shared.runtime.logging import get_logger
from services.shared.runtime.settings import DatabaseSettings

log = get_logger(__name__)

# Limits for every session of a role; migrations lift the second and third for themselves.
# A transaction left open holds back vacuum for the whole server.
LIMITS = {"idle_in_transaction_session_timeout": "10s", "statement_timeout": "30s"}
LIMITS_17 = {"transaction_timeout": "30s"}

_SERVICE: Final = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
_BACKUP: Final = "REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS CONNECTION LIMIT 20"
# Two connections an answer, of which one may be ending still when the next one is asked for.
_EXPORTER: Final = f"{_SERVICE} CONNECTION LIMIT 3"

MARKER = "millrace_service"
"""Every role made here is a member of it: no other role may ever be locked out."""


async def provision(spec: PostgresSpec, *, wait_seconds: float = 120) -> None:
    """Make every role and database of the spec, or bring them to it; lock out who left it.

    Raises ProvisionError when the server cannot be reached in time or refuses a statement.
    """
    admin = await postgres_administrator.log_in(spec, wait_seconds)
    try:
        # Two runs at once would race between "does it exist" and "create".
        await admin.execute("SELECT pg_advisory_lock(hashtext('millrace.provision'))")
        # Whom PUBLIC lets in there could read the catalogues, and connect to what clones template1.
        for shared in ("postgres", "template1"):
            await admin.execute(f"REVOKE CONNECT ON DATABASE {shared} FROM PUBLIC")
        await postgres_administrator.bring_password(spec, admin)
        await _marker(admin)
        for database in spec.databases:
            await _service(spec, admin, database)
            await _database(admin, database)
        for database in spec.databases:
            await _schema(spec, database)
        if spec.backup is not None:
            await _backup_account(spec, admin, spec.backup)
        if spec.exporter is not None:
            await _exporter_account(spec, admin, spec.exporter)
        roles = [database.role for database in spec.databases]
        await _lock_out(admin, keep=[*roles, *map(second, roles)])
    except (asyncpg.PostgresError, OSError) as error:
        raise ProvisionError(
            f"postgres {spec.host}:{spec.port}: {error}; correct it and run the Job again"
        ) from error
    finally:
        await admin.close()


async def _marker(admin: asyncpg.Connection) -> None:
    if not await exists(admin, MARKER):
        await admin.execute(f"CREATE ROLE {MARKER} NOLOGIN")


async def _lock_out(admin: asyncpg.Connection, keep: Sequence[str]) -> None:
    """End the logins and sessions of roles that were made here and are no longer wanted.

    What they own stays: dropping a database is a decision that a program must not take from the
    absence of a line.
    """
    left = await admin.fetch(
        """
        SELECT r.rolname,
               ARRAY(SELECT datname::text FROM pg_database WHERE datdba = r.oid) AS databases
        FROM pg_auth_members m
        JOIN pg_roles r ON r.oid = m.member
        WHERE m.roleid = $1::text::regrole AND r.rolname <> ALL ($2::text[]) AND NOT r.rolsuper
          -- Without a login, but with sessions: a run that ended between the two.
          AND (r.rolcanlogin OR EXISTS (SELECT 1 FROM pg_stat_activity WHERE usesysid = r.oid))
        """,
        MARKER,
        keep,
    )
    for role in left:
        name = role["rolname"]
        ended = await shut_out(admin, name)
        log.warning(
            "role_locked_out",
            role=name,
            sessions_ended=ended,
            databases_kept=role["databases"],
            reason="no service has it any more; drop database and role by hand when nobody needs"
            " the data",
        )


async def _service(spec: PostgresSpec, admin: asyncpg.Connection, database: DatabaseSpec) -> None:
    role = database.role
    if not await exists(admin, role):
        await admin.execute(f"CREATE ROLE {quote(role)}")
        log.info("role_created", role=role)
    limits = LIMITS | (LIMITS_17 if admin.get_server_version() >= (17,) else {})

    async def prepare(admin: asyncpg.Connection, login: str) -> None:
        await admin.execute(f"GRANT {MARKER} TO {quote(login)}")
        for name, value in limits.items():
            await admin.execute(f"ALTER ROLE {quote(login)} SET {name} = '{value}'")
        if login != role:
            await admin.execute(f"GRANT {quote(role)} TO {quote(login)}")
            await admin.execute(f"ALTER ROLE {quote(login)} SET role = {quote(role)}")

    settings = _settings(spec, database.name, database.login or role, database.password_file)
    turns = Turns(role, settings, database.previous, _SERVICE, prepare)
    # Whoever is let in has a database to go to: who it was made for is the first, who may log in
    # before there is one.
    await bring(admin, turns)


# The files of the server come over the replication protocol. Beside it: to compare what tables
# hold (pg_read_all_data) at an instant when none is written to, for which it locks them
# (pg_maintain); to see who replicates (pg_monitor); to mark the instant in the log.
_BACKUP_GRANTS = (
    "GRANT pg_read_all_data, pg_maintain, pg_monitor TO {role}",
    "GRANT EXECUTE ON FUNCTION pg_create_restore_point(text), pg_switch_wal() TO {role}",
    "GRANT CONNECT ON DATABASE postgres TO {role}",
)


async def _backup_account(
    spec: PostgresSpec, admin: asyncpg.Connection, account: BackupAccountSpec
) -> None:
    # All that are there, not only the spec's: whoever left the spec keeps its data.
    rows = await admin.fetch(
        "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate"
    )

    async def prepare(admin: asyncpg.Connection, login: str) -> None:
        for grant in _BACKUP_GRANTS:
            await admin.execute(grant.format(role=quote(login)))
        for row in rows:
            database = quote(row["datname"])
            await admin.execute(f"GRANT CONNECT ON DATABASE {database} TO {quote(login)}")

    settings = _settings(spec, "postgres", account.login or account.user, account.password_file)
    await bring(admin, Turns(account.user, settings, account.previous, _BACKUP, prepare))


async def _exporter_account(
    spec: PostgresSpec, admin: asyncpg.Connection, account: ExporterAccountSpec
) -> None:
    async def prepare(admin: asyncpg.Connection, login: str) -> None:
        await admin.execute(f"GRANT pg_monitor TO {quote(login)}")
        await admin.execute(f"GRANT CONNECT ON DATABASE postgres TO {quote(login)}")
        # What it asks takes milliseconds; it must not be what is long at work.
        await admin.execute(f"ALTER ROLE {quote(login)} SET statement_timeout = '10s'")

    settings = _settings(spec, "postgres", account.login or account.user, account.password_file)
    await bring(admin, Turns(account.user, settings, account.previous, _EXPORTER, prepare))


async def _database(admin: asyncpg.Connection, database: DatabaseSpec) -> None:
    name, role = quote(database.name), quote(database.role)
    owner = await admin.fetchval(
        "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = $1", database.name
    )
    if owner is None:
        # CREATE DATABASE … OWNER needs membership in that role where the administrator of a
        # managed server is no superuser.
        if not await admin.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
            await admin.execute(f"GRANT {role} TO CURRENT_USER")
        await admin.execute(f"CREATE DATABASE {name} OWNER {role} ENCODING 'UTF8'")
        log.info("database_created", database=database.name)
    elif owner != database.role:
        await admin.execute(f"ALTER DATABASE {name} OWNER TO {role}")
    await admin.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    await admin.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {name} TO {role}")


async def _schema(spec: PostgresSpec, database: DatabaseSpec) -> None:
    """As the role itself, which also proves that it can log in."""
    login = database.login or database.role
    settings = _settings(spec, database.name, login, database.password_file)
    own = await connect(settings, "provision", connect_timeout=LOGIN_SECONDS)
    try:
        # In PostgreSQL 15 and later the database's owner owns this schema too.
        await own.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    finally:
        await own.close()
    log.info("database_ready", database=database.name, role=database.role)


def _settings(spec: PostgresSpec, name: str, user: str, password_file: Path) -> DatabaseSettings:
    return DatabaseSettings(
        host=spec.host,
        port=spec.port,
        name=name,
        user=user,
        password_file=password_file,
        ca_file=spec.ca_file,
    )

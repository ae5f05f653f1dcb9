"""Roles and databases of a PostgreSQL server, idempotently.

Each database belongs to a role of its own that can do nothing elsewhere: no superuser, no role or
database creation, and nobody else may connect. Passwords are set on every run, so that a rotated
secret needs only another run. A role that was made here and left the spec may no longer log in;
its database and all that is in it stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from services.provision.spec import DatabaseSpec, PostgresSpec, ProvisionError
from services.shared.postgres.database import (
    DatabaseUnavailableError,
    connect,
    connect_within,
)
from services.shared.runtime.logging import get_logger
from services.shared.runtime.settings import DatabaseSettings, read_secret

log = get_logger(__name__)

# Limits for every session of a role; migrations lift the second and third for themselves.
# A transaction left open holds back vacuum for the whole server.
LIMITS = {"idle_in_transaction_session_timeout": "10s", "statement_timeout": "30s"}
LIMITS_17 = {"transaction_timeout": "30s"}

MARKER = "millrace_service"
"""Every role made here is a member of it: no other role may ever be locked out."""


async def provision(spec: PostgresSpec, *, wait_seconds: float = 120) -> None:
    """Make every role and database of the spec, or bring them to it; lock out who left it.

    Raises ProvisionError when the server cannot be reached in time or refuses a statement.
    """
    admin = await _admin(spec, wait_seconds)
    try:
        # Two runs at once would race between "does it exist" and "create".
        await admin.execute("SELECT pg_advisory_lock(hashtext('millrace.provision'))")
        # Whom PUBLIC lets in there could read the catalogues, and connect to what clones template1.
        for shared in ("postgres", "template1"):
            await admin.execute(f"REVOKE CONNECT ON DATABASE {shared} FROM PUBLIC")
        await _marker(admin)
        for database in spec.databases:
            await _role(admin, database)
            await _database(admin, database)
        for database in spec.databases:
            await _schema(spec, database)
        await _lock_out(admin, keep=[database.role for database in spec.databases])
    except (asyncpg.PostgresError, OSError) as error:
        raise ProvisionError(
            f"postgres {spec.host}:{spec.port}: {error}; correct it and run the Job again"
        ) from error
    finally:
        await admin.close()


async def _marker(admin: asyncpg.Connection) -> None:
    if not await admin.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", MARKER):
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
        # First the door, then the room: a session that ended could come back otherwise.
        await admin.execute(f"ALTER ROLE {quote(name)} WITH NOLOGIN PASSWORD NULL")
        ended = await admin.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = $1", name
        )
        log.warning(
            "role_locked_out",
            role=name,
            sessions_ended=ended,
            databases_kept=role["databases"],
            reason="no service has it any more; drop database and role by hand when nobody needs"
            " the data",
        )


async def _role(admin: asyncpg.Connection, database: DatabaseSpec) -> None:
    role = quote(database.role)
    if not await admin.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", database.role):
        await admin.execute(f"CREATE ROLE {role}")
        log.info("role_created", role=database.role)
    await admin.execute(f"GRANT {MARKER} TO {role}")
    verifier = await _password_literal(admin, read_secret(database.password_file))
    await admin.execute(
        f"ALTER ROLE {role} WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION"
        f" NOBYPASSRLS PASSWORD {verifier}"
    )
    limits = LIMITS | (LIMITS_17 if admin.get_server_version() >= (17,) else {})
    for name, value in limits.items():
        await admin.execute(f"ALTER ROLE {role} SET {name} = '{value}'")


async def _password_literal(admin: asyncpg.Connection, password: str) -> str:
    # ALTER ROLE takes no parameters, so the server itself quotes what we send as one. The setting
    # keeps a failed statement, and with it the password, out of the server's log.
    await admin.execute("SET log_statement = 'none'")
    await admin.execute("SET log_min_error_statement = 'panic'")
    await admin.execute("SET log_min_duration_statement = -1")
    await admin.execute("SET password_encryption = 'scram-sha-256'")
    return await admin.fetchval("SELECT quote_literal($1::text)", password)


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
    settings = DatabaseSettings(
        host=spec.host,
        port=spec.port,
        name=database.name,
        user=database.role,
        password_file=database.password_file,
        ca_file=spec.ca_file,
    )
    own = await connect(settings, "provision")
    try:
        # In PostgreSQL 15 and later the database's owner owns this schema too.
        await own.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    finally:
        await own.close()
    log.info("database_ready", database=database.name, role=database.role)


async def _admin(spec: PostgresSpec, wait_seconds: float) -> asyncpg.Connection:
    settings = DatabaseSettings(
        host=spec.host,
        port=spec.port,
        name="postgres",
        user=spec.admin_user,
        password_file=spec.admin_password_file,
        ca_file=spec.ca_file,
    )
    try:
        return await connect_within(wait_seconds, settings, "provision")
    except DatabaseUnavailableError as error:
        raise ProvisionError(
            f"{error}; see that it runs and that admin_password_file holds the password it was"
            " initialised with"
        ) from error


def quote(identifier: str) -> str:
    """A quoted SQL identifier; the spec has already refused anything unusual."""
    return '"' + identifier.replace('"', '""') + '"'

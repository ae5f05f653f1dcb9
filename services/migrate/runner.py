"""Alembic over SQLAlchemy's asyncio engine and asyncpg, one run at a time per database."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from services.shared.postgres.database import connect, is_unavailable
from services.shared.runtime.logging import get_logger
from services.shared.runtime.settings import DatabaseSettings

log = get_logger(__name__)

OWNERS = {"restdb": "rest_service", "workerdb": "event_worker"}
"""Database to the service package whose `migrations` folder holds its revisions."""

_SERVICES = Path(__file__).parents[1]
# Any number will do as long as every runner uses the same one; "MILL" in ASCII.
_LOCK = 0x4D494C4C


class MigrationError(Exception):
    """The schema is not at the revision asked for; the message says why and what to do."""


def alembic_config(database: str) -> Config:
    """The configuration that alembic.ini would hold."""
    config = Config()
    config.set_main_option("script_location", str(_SERVICES / "migrate" / "scripts"))
    config.set_main_option("path_separator", "newline")
    versions = _SERVICES / OWNERS[database] / "migrations"
    config.set_main_option("version_locations", str(versions))
    return config


async def migrate(
    database: str,
    settings: DatabaseSettings,
    *,
    to: str = "head",
    wait_seconds: float = 120,
    lock_seconds: float = 300,
) -> tuple[str | None, str | None]:
    """Bring `database` to revision `to` ("head", "base" or an id) and return (before, after).

    Waits at most `wait_seconds` for the server and `lock_seconds` for another run to finish.
    """
    first = await _wait_for_server(settings, database, wait_seconds)
    pending = [first]

    async def creator() -> asyncpg.Connection:
        return pending.pop() if pending else await connect(settings, f"migrate-{database}")

    # NullPool: the advisory lock belongs to the session, so it must end with this one.
    engine = create_async_engine("postgresql+asyncpg://", async_creator=creator, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.execute(
                text("SELECT set_config('lock_timeout', :t, false)"),
                {"t": f"{int(lock_seconds * 1000)}"},
            )
            # The role's limits are for services (provision/postgres.py); a revision may take long.
            await connection.execute(text("SET statement_timeout = 0"))
            if first.get_server_version() >= (17,):
                await connection.execute(text("SET transaction_timeout = 0"))
            await connection.execute(text("SELECT pg_advisory_lock(:k)"), {"k": _LOCK})
            # A revision that needs a table lock gives up rather than stop every writer behind it.
            await connection.execute(text("SET lock_timeout = '15s'"))
            await connection.commit()
            return await connection.run_sync(_run, database, to)
    except (SQLAlchemyError, CommandError, asyncpg.PostgresError, OSError) as error:
        reason = " ".join(str(error).split())
        raise MigrationError(f"{database} to {to}: {reason}; the last whole revision stands") from (
            error
        )
    finally:
        for connection in pending:
            await connection.close()
        await engine.dispose()


def _run(connection: Connection, database: str, to: str) -> tuple[str | None, str | None]:
    config = alembic_config(database)
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    before = MigrationContext.configure(connection).get_current_revision()
    connection.commit()
    behind = {r.revision for r in scripts.iterate_revisions(before, "base")} if before else set()
    if to == "base" or (to in behind and to != before):
        command.downgrade(config, to)
    else:
        command.upgrade(config, to)
    after = MigrationContext.configure(connection).get_current_revision()
    connection.commit()
    return before, after


async def _wait_for_server(
    settings: DatabaseSettings, database: str, wait_seconds: float
) -> asyncpg.Connection:
    deadline = time.monotonic() + wait_seconds
    pause = 0.1
    while True:
        try:
            return await connect(settings, f"migrate-{database}")
        except Exception as error:
            if not is_unavailable(error):
                raise
            if time.monotonic() + pause > deadline:
                raise MigrationError(
                    f"{settings.name} on {settings.host}:{settings.port} did not let"
                    f" {settings.user} in within {wait_seconds:g} s ({type(error).__name__}:"
                    f" {error}); see that the server runs and that its role"
                    " and database were provisioned"
                ) from error
            log.info("waiting_for_database", error=type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)

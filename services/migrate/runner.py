"""Alembic over an asyncio connection of SQLAlchemy's, one run at a time per database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Final, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from services.migrate import journal
from services.migrate.engine import Engine, MigrationError
from services.shared.runtime.settings import DatabaseSettings

T = TypeVar("T")


@dataclass(frozen=True)
class Status:
    """Where a database is."""

    revision: str | None
    """The last whole one; None: it has no tables of ours yet."""
    head: str | None
    pending: tuple[str, ...]
    half_done: str | None
    """The one that a run left in the middle, where that can be."""


_SERVICES: Final = Path(__file__).parents[1]


def alembic_config(package: str) -> Config:
    """The configuration that alembic.ini would hold.

    Raises:
        MigrationError: no package of that name has migrations.
    """
    versions = _SERVICES / package / "migrations"
    if not versions.is_dir():
        known = ", ".join(sorted(found.parent.name for found in _SERVICES.glob("*/migrations")))
        raise MigrationError(
            f"there is no folder services/{package}/migrations; name the package that owns the "
            f"database: {known}"
        )
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("scripts")))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(versions))
    return config


async def migrate(
    database: str,
    package: str,
    settings: DatabaseSettings,
    engine: Engine,
    *,
    to: str = "head",
    wait_seconds: float = 120,
    lock_seconds: float = 300,
) -> tuple[str | None, str | None]:
    """Bring `database` to revision `to` of `package` ("head", "base" or an id); (before, after).

    Waits at most `wait_seconds` for the server and `lock_seconds` for another run to finish.

    Raises:
        MigrationError: the database is at the last revision that went through whole.
    """
    before, after = await _at(
        database,
        package,
        settings,
        engine,
        lambda connection, config: _run(connection, config, to),
        f"to {to}",
        wait_seconds=wait_seconds,
        lock_seconds=lock_seconds,
    )
    return before, after


async def statements(
    database: str, package: str, settings: DatabaseSettings, engine: Engine, *, to: str = "head"
) -> str:
    """The SQL that migrate() would run; nothing is changed. Raises MigrationError."""
    return await _at(
        database,
        package,
        settings,
        engine,
        lambda connection, config: _as_sql(connection, config, to),
        f"to {to}",
    )


async def status(database: str, package: str, settings: DatabaseSettings, engine: Engine) -> Status:
    """Where the database is. Raises MigrationError."""
    return await _at(database, package, settings, engine, _status, "status")


async def _at(  # noqa: PLR0917 - all but one as everywhere here
    database: str,
    package: str,
    settings: DatabaseSettings,
    engine: Engine,
    work: Callable[[Connection, Config], T],
    what: str,
    *,
    wait_seconds: float = 120,
    lock_seconds: float = 300,
) -> T:
    config = alembic_config(package)
    config.attributes["journal"] = engine.journal
    try:
        async with engine.session(
            settings, database, wait_seconds=wait_seconds, lock_seconds=lock_seconds
        ) as connection:
            return await connection.run_sync(work, config)
    except (SQLAlchemyError, CommandError, OSError, *engine.errors) as error:
        reason = " ".join(str(error).split())
        raise MigrationError(f"{database} {what}: {reason}; the last whole revision stands") from (
            error
        )
    except MigrationError as error:
        raise MigrationError(f"{database} {what}: {error}") from error


def _run(connection: Connection, config: Config, to: str) -> tuple[str | None, str | None]:
    before, down = _way(connection, config, to)
    if down:
        command.downgrade(config, to)
    else:
        command.upgrade(config, to)
    after = MigrationContext.configure(connection).get_current_revision()
    connection.commit()
    return before, after


def _as_sql(connection: Connection, config: Config, to: str) -> str:
    before, down = _way(connection, config, to)
    config.output_buffer = StringIO()
    if down:
        command.downgrade(config, f"{before}:{to}", sql=True)
    else:
        command.upgrade(config, f"{before}:{to}" if before else to, sql=True)
    return config.output_buffer.getvalue()


def _way(connection: Connection, config: Config, to: str) -> tuple[str | None, bool]:
    """The revision now, and whether `to` lies below it."""
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    before = MigrationContext.configure(connection).get_current_revision()
    connection.commit()
    behind = {r.revision for r in scripts.iterate_revisions(before, "base")} if before else set()
    return before, to == "base" or (to in behind and to != before)


def _status(connection: Connection, config: Config) -> Status:
    scripts = ScriptDirectory.from_config(config)
    at = MigrationContext.configure(connection).get_current_revision()
    pending = [r.revision for r in scripts.iterate_revisions("head", at or "base")]
    left = journal.half_done(connection) if config.attributes["journal"] else None
    return Status(at, scripts.get_current_head(), tuple(reversed(pending)), left)

"""Alembic over an asyncio connection of SQLAlchemy's, one run at a time per database."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from services.migrate.engine import Engine, MigrationError
from services.shared.runtime.settings import DatabaseSettings

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
    config.set_main_option("script_location", str(_SERVICES / "migrate" / "scripts"))
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
    config = alembic_config(package)
    try:
        async with engine.session(
            settings, database, wait_seconds=wait_seconds, lock_seconds=lock_seconds
        ) as connection:
            return await connection.run_sync(_run, config, to)
    except (SQLAlchemyError, CommandError, OSError, *engine.errors) as error:
        reason = " ".join(str(error).split())
        raise MigrationError(f"{database} to {to}: {reason}; the last whole revision stands") from (
            error
        )


def _run(connection: Connection, config: Config, to: str) -> tuple[str | None, str | None]:
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

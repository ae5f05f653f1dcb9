"""python -m services.migrate DATABASE --package PACKAGE [--engine ENGINE] [--to REVISION]
[--status | --dry-run]"""

from __future__ import annotations

import argparse
import asyncio
import logging as stdlib_logging
import sys
from dataclasses import asdict

from services.migrate.engine import MigrationError
from services.migrate.engines import ENGINES
from services.migrate.runner import migrate, statements, status
from services.shared.runtime import logging, settings


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 when the schema is at the revision, 1 with one clear line when not."""
    parser = argparse.ArgumentParser(prog="python -m services.migrate", description=__doc__)
    parser.add_argument("database", help="what to call it in messages and on the server")
    parser.add_argument(
        "--package", required=True, help="whose folder migrations holds its revisions"
    )
    parser.add_argument("--engine", choices=sorted(ENGINES), default="postgres")
    parser.add_argument("--to", default="head", help="revision, head, or base (default: head)")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--status", action="store_true", help="say where the database is and change nothing"
    )
    instead.add_argument(
        "--dry-run", action="store_true", help="print what would be run and change nothing"
    )
    parser.add_argument(
        "--wait", type=float, default=120, help="seconds to wait for the database (default: 120)"
    )
    arguments = parser.parse_args(argv)
    logging.configure(f"migrate-{arguments.database}")
    # Alembic announces its dialect for every context; the line at the end says what happened.
    stdlib_logging.getLogger("alembic").setLevel("WARNING")
    log = logging.get_logger(__name__)
    try:
        target = settings.load(settings.DatabaseSettings)
        whose = (
            arguments.database,
            arguments.package,
            target,
            ENGINES[arguments.engine],
        )
        if arguments.status:
            found = asyncio.run(status(*whose))
            log.info("migration_status", database=arguments.database, **asdict(found))
            return 0
        if arguments.dry_run:
            sys.stdout.write(asyncio.run(statements(*whose, to=arguments.to)))
            return 0
        before, after = asyncio.run(
            migrate(
                *whose,
                to=arguments.to,
                wait_seconds=arguments.wait,
            )
        )
    except (MigrationError, settings.SettingsError) as error:
        log.error("migration_failed", database=arguments.database, reason=str(error))
        return 1
    log.info("migrated", database=arguments.database, before=before, after=after)
    return 0


if __name__ == "__main__":
    sys.exit(main())

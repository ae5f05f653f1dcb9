"""python -m services.backup ENGINE ACTION --spec FILE"""

from __future__ import annotations

import argparse
import logging as stdlib_logging
import signal
import sys
from pathlib import Path

from services.backup import actions
from services.backup.catalogue import Catalogue
from services.backup.engine import BackupError, Engine, Job
from services.backup.engines import NAMES, engine
from services.backup.spec import BackupSpec
from services.backup.storage.opened import open_storage
from services.backup.storage.storage import StorageError
from services.shared.runtime import logging, settings, specs


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 when it was done, 1 with one clear line when not."""
    arguments = _parser().parse_args(argv)
    logging.configure(f"backup-{arguments.engine}")
    # It announces each of its plugins.
    stdlib_logging.getLogger("alembic").setLevel("WARNING")
    if arguments.action != "archive":  # which has its own way to end
        signal.signal(signal.SIGTERM, _leave)
    try:
        told = specs.read(BackupSpec, arguments.spec)
        job = Job(told, Catalogue(open_storage(told.storage), told.folder))
        _act(engine(arguments.engine), job, arguments)
    except (BackupError, StorageError, specs.SpecError, settings.SettingsError) as error:
        logging.get_logger(__name__).error(
            "backup_action_failed",
            engine=arguments.engine,
            action=arguments.action,
            reason=str(error),
        )
        return 1
    return 0


def _leave(*_: object) -> None:
    """As an exception, so that what was half done is undone on the way out."""
    sys.exit(128 + signal.SIGTERM)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.backup", description=__doc__)
    parser.add_argument("engine", choices=NAMES)
    todo = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    told = argparse.ArgumentParser(add_help=False)
    told.add_argument("--spec", type=Path, required=True, help="JSON file, see spec.py")

    def action(name: str, text: str) -> argparse.ArgumentParser:
        return todo.add_parser(name, help=text, description=text, parents=[told])

    taking = action("take", "a new backup")
    taking.add_argument("--drill", action="store_true", help="and prove it")
    listing = action("list", "what is there, and whether it was proven")
    listing.add_argument("--json", action="store_true", help="one object a line")
    drilling = action("drill", "restore a backup on the side and compare")
    drilling.add_argument("--backup", help="its name (default: the newest)")
    restoring = action("restore", "put a backup in place of the live data")
    restoring.add_argument("--backup", required=True, help="its name, as `list` has it")
    pitring = action("pitr", "put the data of a moment in place of the live data")
    pitring.add_argument("--to", required=True, help="the moment, as 2026-01-02T03:04:05Z")
    for one in (restoring, pitring):
        one.add_argument(
            "--migrate",
            action="store_true",
            help="bring an older schema to this code's revision first",
        )
    action("unlock", "undo or finish what an interrupted restore left")
    action("prune", "delete what retention lets go")
    action("archive", "archive the log of changes until SIGTERM")
    return parser


def _act(kind: Engine, job: Job, arguments: argparse.Namespace) -> None:
    match arguments.action:
        case "take":
            actions.take(kind, job, then_drill=arguments.drill)
        case "list":
            print(actions.list_backups(job, as_json=arguments.json))  # noqa: T201
        case "drill":
            actions.drill(kind, job, arguments.backup)
        case "restore":
            actions.restore(kind, job, arguments.backup, migrate=arguments.migrate)
        case "pitr":
            actions.pitr(kind, job, arguments.to, migrate=arguments.migrate)
        case "unlock":
            actions.unlock(kind, job)
        case "prune":
            actions.prune(kind, job)
        case _:
            kind.archive(job)


if __name__ == "__main__":
    sys.exit(main())

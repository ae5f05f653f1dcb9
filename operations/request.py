"""What is asked, of which database, and what it is made of on the cluster."""

from dataclasses import dataclass, field

from infra.model import operations as names
from infra.model.records import RECORDS, Records
from infra.model.servers import Server


class RefusedError(ValueError):
    """It was not begun; the message says why, and what to say instead."""


class FailedError(ValueError):
    """The operation failed; the message is what it said."""


@dataclass(frozen=True)
class Target:
    """A database and the server it is on."""

    database: str
    server: Server


@dataclass(frozen=True)
class Request:
    """One Job: made of which template, with which arguments for the program."""

    target: Target
    action: str
    template: str
    """Name of the CronJob."""
    arguments: tuple[str, ...] | None = field(default=None)
    """In place of the template's own action; None: what the template does by itself."""
    replaces: str = ""
    """The template's action that `arguments` take the place of; empty: they are added to it."""

    def command(self, template: list[str]) -> list[str]:
        """What the Job's container runs."""
        if self.arguments is None:
            return template
        if not self.replaces:
            return [*template, *self.arguments]
        at = template.index(self.replaces)
        return [*template[:at], *self.arguments, *template[at + 1 :]]

    @property
    def text(self) -> str:
        return " ".join((self.action, *(self.arguments or ())[1:], "of", self.target.database))


def target(database: str, records: Records = RECORDS) -> Target:
    """Raises RefusedError when no service has a database of that name."""
    known = ", ".join(records.databases())
    if not database:
        raise RefusedError(f"DB is not given; say which database: DB={known.replace(', ', '|')}")
    server = names.server_of(records, database)
    if server is None:
        raise RefusedError(f"there is no database {database!r}; known: {known}")
    return Target(database, server)


def backup(of: Target) -> Request:
    """Taken, proven, and what is due let go."""
    return Request(of, "backup", names.backup_job(of.server, of.database))


def drill(of: Target, name: str) -> Request:
    """One restored on the side and compared; the newest unless one is named."""
    which = ("--backup", name) if name else ()
    return _restoring(of, "restore-drill", ("drill", *which))


def restore(of: Target, name: str, confirmed: str, *, migrate: bool) -> Request:
    """A backup in place of the live data. Raises RefusedError unless it is confirmed."""
    if not name:
        raise RefusedError(
            f"BACKUP is not given; `make backups DB={of.database}` names those there are"
        )
    _confirm(of, confirmed, f"put the backup {name} in place of all data in {of.database}")
    more = ("--migrate",) if migrate else ()
    return _restoring(of, "restore", ("restore", "--backup", name, *more))


def pitr(of: Target, moment: str, confirmed: str, *, migrate: bool) -> Request:
    """The data of a moment in place of the live ones. Raises RefusedError unless confirmed."""
    if not moment:
        raise RefusedError("TO is not given; say which moment, like TO=2026-01-02T03:04:05Z")
    _confirm(of, confirmed, f"put {of.database} back to where it was at {moment}")
    more = ("--migrate",) if migrate else ()
    return _restoring(of, "pitr", ("pitr", "--to", moment, *more))


def unlock(of: Target) -> Request:
    """What an interrupted restore left is undone or finished."""
    return _restoring(of, "restore-unlock", ("unlock",))


def migrate(of: Target, to: str, *, dry_run: bool) -> Request:
    """The schema at a revision, the newest unless one is named; `status` shows where it is."""
    arguments: tuple[str, ...] = ("--to", to) if to else ()
    if to == "status":
        arguments = ("--status",)
    elif dry_run:
        arguments = (*arguments, "--dry-run")
    return Request(of, "migrate", names.migrate_job(of.database), arguments or None)


def load_schema(of: Target) -> Request:
    """All revisions, into a database that may have none yet."""
    return Request(of, "schema-load", names.migrate_job(of.database))


def _restoring(of: Target, action: str, arguments: tuple[str, ...]) -> Request:
    return Request(of, action, names.restore_job(of.database), arguments, replaces="list")


def _confirm(of: Target, confirmed: str, what: str) -> None:
    if confirmed == of.database:
        return
    said = f"CONFIRM is {confirmed!r}" if confirmed else "CONFIRM is not given"
    raise RefusedError(
        f"{said}, so nothing was done. This would {what} on the server {of.server.name}, while its "
        "services answer 503: what was written since is no longer there. If that is what you want, "
        f"say CONFIRM={of.database}"
    )

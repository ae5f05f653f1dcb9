"""A restored schema takes the place of the live one, in one statement, with the application out.

Everything that has to be undone or finished after a crash is written down beforehand, in a table of
the schema that is being restored: while that schema exists, a restore is not over.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from services.backup.engine import BackupError, Job
from services.backup.mysql.contents import others, tables
from services.backup.mysql.session import Session, quote, still_alone
from services.backup.mysql.timeline import begin_history, undo_history
from services.shared.mysql import lockout

MARKER: Final = "__restore"
LOADER: Final = "millrace_restore"
_LEAVE_SECONDS: Final = 15


@dataclass(frozen=True)
class Names:
    """The schemas of a restore."""

    live: str

    @property
    def restoring(self) -> str:
        return f"{self.live}__restoring"

    @property
    def was(self) -> str:
        """What schemas that were live begin with."""
        return f"{self.live}__was_"


def prepare(session: Session, names: Names) -> None:
    """An empty schema to restore into, with the live one's character set and the marker."""
    charset, collation = session.row(
        "SELECT default_character_set_name, default_collation_name "
        "FROM information_schema.schemata WHERE schema_name = %s",
        (names.live,),
    )
    session.rows(
        f"CREATE DATABASE {quote(names.restoring)} CHARACTER SET {charset} COLLATE {collation}"
    )
    session.rows(f"CREATE TABLE {_marker(names)} (said JSON NOT NULL)")


def swap(session: Session, job: Job, names: Names) -> str:
    """Returns the schema that holds what was live. Raises BackupError with the live data as it was,
    or, when the connection was lost, `unlock` finds out."""
    hindrances = others(session, names.live) + others(session, names.restoring)
    if hindrances:
        raise BackupError(
            f"tables are swapped, and there is more: {', '.join(hindrances)}; drop it from the "
            "live database and create it again afterwards, by a migration"
        )
    moment = datetime.now(UTC)
    was = names.was + moment.strftime("%Y%m%d%H%M%S")
    restored = [name for name in tables(session, names.restoring) if name != MARKER]
    history = begin_history(job, session)
    try:
        _write(session, names, locked=_lockable(session, job), was=was, history=history)
        with _no_provisioning(session):
            _lock_out(session, job, names)
        live = tables(session, names.live)
        session.rows(f"CREATE DATABASE {quote(was)}")
        still_alone(session, names.live)
        _rename(session, [(names.live, name, was) for name in live]
            + [(names.restoring, name, names.live) for name in restored])  # fmt: skip
    except BaseException:  # a SIGTERM, too: the application must not stay locked out for it
        tidy(session, job, names)
        raise
    tidy(session, job, names)
    _forget_older(session, names, was)
    return was


def tidy(session: Session, job: Job, names: Names) -> str:
    """Finish or undo what a restore left; says which. May be repeated."""
    if not session.rows(
        "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s", (names.restoring,)
    ):
        session.rows(f"DROP USER IF EXISTS {LOADER}")
        return "nothing was left of a restore"
    said = _read(session, names)
    left = [name for name in tables(session, names.restoring) if name != MARKER]
    # One statement moved all tables or none.
    swapped = bool(said) and not left
    for account in said.get("locked", []):
        session.rows(f"ALTER USER {account} ACCOUNT UNLOCK {_held('null')}")
    if said and not swapped:
        undo_history(job, said["history"])
        if not tables(session, said["was"]):
            session.rows(f"DROP DATABASE IF EXISTS {quote(said['was'])}")
    session.rows(f"DROP USER IF EXISTS {LOADER}")
    session.rows(f"DROP DATABASE {quote(names.restoring)}")
    return (
        "the restored data are live, and the application was let in again"
        if swapped
        else "the live data are as they were; what was half restored is gone"
    )


def _lockable(session: Session, job: Job) -> list[str]:
    """The application's accounts that are not locked already, by somebody who meant it."""
    users = [account.user for account in job.spec.server.application]
    found = session.rows("SELECT user, host FROM mysql.user WHERE account_locked = 'N'")
    return [f"'{user}'@'{host}'" for user, host in found if user in users]


@contextmanager
def _no_provisioning(session: Session) -> Iterator[None]:
    """One that has begun would let the accounts in again; one that begins later sees the mark."""
    (got,) = session.row("SELECT GET_LOCK(%s, 30)", (lockout.LOCK,))
    if got != 1:
        raise BackupError("accounts are being provisioned on this server; wait, then try again")
    try:
        yield
    finally:
        session.rows("SELECT RELEASE_LOCK(%s)", (lockout.LOCK,))


def _held(value: str) -> str:
    """Merged into the account's attribute; null takes the key away."""
    return f"ATTRIBUTE '{{\"{lockout.HELD}\": {value}}}'"


def _lock_out(session: Session, job: Job, names: Names) -> None:
    for account in _read(session, names)["locked"]:
        session.rows(f"ALTER USER {account} ACCOUNT LOCK {_held('true')}")
    users = [account.user for account in job.spec.server.application]
    deadline = time.monotonic() + _LEAVE_SECONDS
    while connected := _connections(session, users):
        if time.monotonic() > deadline:
            raise BackupError(f"connections {connected} of the application do not end; try again")
        for number in connected:
            try:
                session.rows(f"KILL {number}")
            except BackupError as error:
                if "(1094)" not in str(error):  # it has just ended by itself
                    raise
        time.sleep(0.05)


def _connections(session: Session, users: list[str]) -> list[int]:
    return [
        number
        for number, user in session.rows("SELECT id, user FROM performance_schema.processlist")
        if user in users
    ]


def _rename(session: Session, moves: list[tuple[str, str, str]]) -> None:
    steps = ", ".join(
        f"{quote(before)}.{quote(table)} TO {quote(after)}.{quote(table)}"
        for before, table, after in moves
    )
    session.rows(f"RENAME TABLE {steps}")


def _forget_older(session: Session, names: Names, newest: str) -> None:
    """One is kept, for a restore that should not have been."""
    for (schema,) in session.rows("SELECT schema_name FROM information_schema.schemata"):
        if schema.startswith(names.was) and schema != newest:
            session.rows(f"DROP DATABASE {quote(schema)}")


def _marker(names: Names) -> str:
    return f"{quote(names.restoring)}.{quote(MARKER)}"


def _write(session: Session, names: Names, **said: object) -> None:
    session.rows(f"INSERT INTO {_marker(names)} VALUES (%s)", (json.dumps(said),))  # noqa: S608


def _read(session: Session, names: Names) -> dict[str, Any]:
    if MARKER not in tables(session, names.restoring):
        return {}
    rows = session.rows(f"SELECT said FROM {_marker(names)}")  # noqa: S608
    return json.loads(rows[0][0]) if rows else {}

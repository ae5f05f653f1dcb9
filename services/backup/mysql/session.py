"""A connection to a MySQL server: over TLS with its name verified, or by a scratch one's socket."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql
from pymysql.err import MySQLError

from services.backup.engine import BackupError
from services.backup.spec import Account, Server
from services.shared.runtime.settings import read_secret

# Idle while a tool works for hours; times are UTC whatever the server's zone; no statement waits
# for ever for somebody else's lock.
_SESSION = (
    "SET SESSION time_zone = '+00:00', wait_timeout = 259200, lock_wait_timeout = 15, "
    "net_read_timeout = 600, net_write_timeout = 600"
)


class Session:
    """Statements on one connection; what the driver raises becomes BackupError."""

    def __init__(self, connection: Any, where: str) -> None:
        self._connection = connection
        self.where = where

    def rows(self, statement: str, given: Sequence[object] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement, given)
                return list(cursor.fetchall())
        except (MySQLError, OSError) as error:
            raise BackupError(f"{self.where}: {said(error)}") from error

    def row(self, statement: str, given: Sequence[object] | None = None) -> tuple[Any, ...]:
        """The one row of a statement."""
        (found,) = self.rows(statement, given)
        return found

    def named(self, statement: str) -> list[dict[str, Any]]:
        """All rows, each by the names of its columns."""
        try:
            with self._connection.cursor(pymysql.cursors.DictCursor) as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall())
        except (MySQLError, OSError) as error:
            raise BackupError(f"{self.where}: {said(error)}") from error


@contextmanager
def connect(server: Server, account: Account) -> Iterator[Session]:
    """Raises BackupError when the server does not let `account` in."""
    where = f"{account.user} at {server.host}:{server.port}"
    try:
        context = ssl.create_default_context(cafile=str(server.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise BackupError(f"{server.ca_file}: {error}; mount the CA certificates there") from error
    with _opened(
        where,
        host=server.host,
        port=server.port,
        user=account.user,
        password=read_secret(account.password_file),
        ssl=context,
    ) as session:
        yield session


@contextmanager
def connect_socket(path: Path) -> Iterator[Session]:
    """As root of a scratch server."""
    with _opened("scratch server", unix_socket=str(path), user="root") as session:
        yield session


@contextmanager
def _opened(where: str, **how: Any) -> Iterator[Session]:
    try:
        connection = pymysql.connect(
            **how,
            autocommit=True,
            charset="utf8mb4",
            connect_timeout=10,
            init_command=_SESSION,
            program_name="millrace-backup",
        )
    except (MySQLError, OSError) as error:
        raise BackupError(f"{where}: {said(error)}") from error
    try:
        yield Session(connection, where)
    finally:
        # Its own farewell fails on a connection that is gone already.
        connection._force_close()  # pyright: ignore[reportAttributeAccessIssue]


@contextmanager
def alone(session: Session, database: str, *, wait_seconds: int = 5) -> Iterator[None]:
    """Hold the server's lock for work on a database's backups. Raises BackupError if another does.

    It ends with the connection, so that no dead Job can hold it for longer than it takes the server
    to see that it is gone.
    """
    name = f"millrace-backup-{database}"
    (got,) = session.row("SELECT GET_LOCK(%s, %s)", (name, wait_seconds))
    if got != 1:
        raise BackupError(
            f"another backup or restore of {database} is at work (connection "
            f"{session.row('SELECT IS_USED_LOCK(%s)', (name,))[0]}); wait for it, or if its pod is "
            "gone end that connection with KILL"
        )
    yield
    # Whoever holds a connection this long makes sure it is still the one that holds the lock.


def still_alone(session: Session, database: str) -> None:
    """Raises BackupError when the lock was lost, with the connection that held it."""
    (mine,) = session.row(
        "SELECT IS_USED_LOCK(%s) = CONNECTION_ID()", (f"millrace-backup-{database}",)
    )
    if mine != 1:
        raise BackupError(f"the lock for work on {database} was lost; start again")


def said(error: Exception) -> str:
    """Code and text of a driver's exception."""
    if isinstance(error, MySQLError) and len(error.args) > 1:
        return f"{error.args[1]} ({error.args[0]})"
    return str(error)


def quote(name: str) -> str:
    """An identifier, as a statement may hold it."""
    return "`" + name.replace("`", "``") + "`"

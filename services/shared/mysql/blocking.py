"""A connection to MySQL for threads (PyMySQL), over verified TLS as connections.py has it."""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from typing import Any, cast

import pymysql
from pymysql.constants import CLIENT

from services.shared.mysql import traced
from services.shared.mysql.connections import before_this_one
from services.shared.runtime import context
from services.shared.runtime.databases import tls_context
from services.shared.runtime.settings import DatabaseSettings, read_login

_SPARE_SECONDS = 2.0


class Connection(pymysql.connections.Connection):
    """The driver's, with what a pool has to do to it."""

    _sock: Any
    _read_timeout: float | None

    def query(self, sql: str | bytes, unbuffered: bool = False) -> int:
        """In the trace of whoever the thread works for."""
        if context.span() is None:
            return super().query(sql, unbuffered)
        with traced.statement(self, sql):
            return super().query(sql, unbuffered)

    def commit(self) -> None:
        """As query()."""
        with traced.word(self, "COMMIT"):
            super().commit()

    def wait_for_answers(self, seconds: float) -> None:
        """From the next statement on."""
        self._read_timeout = seconds

    def is_lost(self) -> bool:
        """Whether an idle one is no more, as far as can be seen without asking the server."""
        if not self.open:
            return True
        # Nobody has asked it anything: what there is to read is its end, or why it ended.
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(0))

    def drop(self) -> None:
        """Close it without a word to the server."""
        cast(Any, self)._force_close()

    def cut_off(self) -> None:
        """End what another thread is waiting for; it closes the connection then."""
        driver = self._sock
        if driver is not None:
            with suppress(OSError):
                driver.shutdown(socket.SHUT_RDWR)  # closing alone does not wake it up


def connect(
    settings: DatabaseSettings,
    application_name: str,
    *,
    connect_timeout: float = 3.0,
    command_timeout: float = 5.0,
) -> Connection:
    """One connection, with autocommit on and READ COMMITTED. Times in seconds, for each answer.

    Who waits for a lock is told by the server, before the client would take it for silent.
    Password and CA are read each time, so that a rotated file needs no restart. While one password
    takes the place of another, the second is tried when the first is refused.
    Raises whatever the driver raises; connections.is_unavailable() sorts it.
    """
    user, password = read_login(settings.user, settings.user_file, settings.password_file)
    lock_seconds = max(1, int(command_timeout - _SPARE_SECONDS))

    def made(used: str) -> Connection:
        connection = Connection(
            host=settings.host,
            port=settings.port,
            user=user,
            password=used,
            database=settings.name or None,
            ssl=tls_context(str(settings.ca_file)),
            charset="utf8mb4",
            autocommit=True,
            init_command="SET SESSION transaction_isolation = 'READ-COMMITTED',"
            f" innodb_lock_wait_timeout = {lock_seconds}",
            connect_timeout=connect_timeout,
            # Of the handshake as well: a server that stands still accepts connections all the same.
            read_timeout=connect_timeout,
            write_timeout=command_timeout,
            program_name=application_name,
            # An UPDATE that changes nothing has found its row all the same.
            client_flag=CLIENT.FOUND_ROWS,
            defer_connect=True,
        )
        # One statement at a time: what slips into one must not become a second.
        connection.client_flag &= ~CLIENT.MULTI_STATEMENTS
        connection.connect()
        connection.wait_for_answers(command_timeout)
        return connection

    try:
        return made(password)
    except pymysql.err.OperationalError as error:
        before = before_this_one(settings, error)
        if before is None:
            raise
    try:
        return made(before)
    except pymysql.err.OperationalError as error:
        if before_this_one(settings, error) is None:
            raise
    # Between the two it learned of the first.
    return made(password)

"""A connection to MySQL over verified TLS, and what its errors say of the server."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import aiomysql
from pymysql import err
from pymysql.constants import CLIENT, CR, ER

from services.shared.mysql import traced
from services.shared.runtime import context
from services.shared.runtime.databases import connected_within, tls_context
from services.shared.runtime.settings import (
    DatabaseSettings,
    SettingsError,
    read_before,
    read_login,
)

Connection = aiomysql.Connection
Row = dict[str, Any]

# A statement that ends in one of these says nothing about the statement: the server is away,
# starting, stopping, full, or does not let us in.
_AWAY = frozenset(
    {
        ER.CON_COUNT_ERROR,  # max_connections
        ER.TOO_MANY_USER_CONNECTIONS,
        ER.OUTOFMEMORY,
        ER.OUT_OF_RESOURCES,
        ER.DISK_FULL,
        ER.RECORD_FILE_FULL,
        ER.ERROR_ON_WRITE,
        ER.ACCESS_DENIED_ERROR,
        ER.DBACCESS_DENIED_ERROR,
        ER.BAD_DB_ERROR,
        ER.SERVER_SHUTDOWN,
        ER.NORMAL_SHUTDOWN,
        ER.QUERY_INTERRUPTED,
        ER.OPTION_PREVENTS_STATEMENT,  # super_read_only
        1792,  # ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
        1836,  # ER_READ_ONLY_MODE
        3024,  # ER_QUERY_TIMEOUT: max_execution_time
        3118,  # ER_ACCOUNT_HAS_BEEN_LOCKED
        3169,  # ER_SESSION_WAS_KILLED
        4031,  # ER_CLIENT_INTERACTION_TIMEOUT: wait_timeout
        9001,  # ProxySQL: no server, or no connection to one, in time
    }
)


class _Cursor(aiomysql.DictCursor):
    async def _show_warnings(self, conn: Any) -> None:
        """Not asked for: a round trip, only to print what nobody reads."""


class _Connection(aiomysql.Connection):
    patience: float | None = None
    """Seconds for the answer to a statement."""

    async def query(self, sql: str | bytes, unbuffered: bool = False) -> Any:
        if context.span() is None:
            return await super().query(sql, unbuffered)
        with traced.statement(self, sql):
            return await super().query(sql, unbuffered)

    async def commit(self) -> None:
        with traced.word(self, "COMMIT"):
            await super().commit()

    async def _request_authentication(self) -> None:
        # aiomysql would go on in the clear, and whoever sits in between could ask for that.
        if not self.server_capabilities & CLIENT.SSL:
            raise err.OperationalError(CR.CR_SSL_CONNECTION_ERROR, "the server offers no TLS")
        await super()._request_authentication()

    async def _read_query_result(self, unbuffered: bool = False) -> None:
        # Late, it closes the connection: nobody may read the end of another one's answer.
        async with asyncio.timeout(self.patience):
            await super()._read_query_result(unbuffered)

    async def _read_ok_packet(self) -> Literal[True]:
        async with asyncio.timeout(self.patience):
            return await super()._read_ok_packet()


def is_unavailable(error: BaseException) -> bool:
    """Whether `error` means that the database is away rather than that a statement is wrong."""
    if isinstance(error, err.InterfaceError):
        return True  # "Not connected": used after it was lost
    if isinstance(error, err.MySQLError):
        code = error.args[0] if error.args else None
        # Those from 2000 to 2999 are of the client: no connection, or none any more.
        return isinstance(code, int) and (code in _AWAY or 2000 <= code < 3000)
    # OSError includes TimeoutError, ssl.SSLError and every ConnectionError.
    return isinstance(error, (OSError, SettingsError))


def before_this_one(settings: DatabaseSettings, error: err.OperationalError) -> str | None:
    """The password to try after one that was refused; None: there is none, or that was not why."""
    refused = error.args and error.args[0] == ER.ACCESS_DENIED_ERROR
    return read_before(settings.password_file) if refused else None


async def connect(
    settings: DatabaseSettings,
    application_name: str,
    *,
    connect_timeout: float = 3,
    command_timeout: float | None = None,
    autocommit: bool = True,
    session: str = "transaction_isolation = 'READ-COMMITTED'",
) -> Connection:
    """One connection; times in seconds, no command_timeout means that a statement may run on.

    `session` are variables of the session, as SET takes them.

    Password and CA are read each time, so that a rotated file needs no restart. While one password
    takes the place of another, the second is tried when the first is refused.
    Raises whatever the driver raises; is_unavailable() sorts it.
    """
    user, password = read_login(settings.user, settings.user_file, settings.password_file)

    async def made(used: str) -> Connection:
        connection = _Connection(
            host=settings.host,
            port=settings.port,
            user=user,
            password=used,
            db=settings.name or None,
            ssl=tls_context(str(settings.ca_file)),
            charset="utf8mb4",
            autocommit=autocommit,
            init_command=f"SET SESSION {session}",
            program_name=application_name,
            cursorclass=_Cursor,
            # An UPDATE that changes nothing has found its row all the same.
            client_flag=CLIENT.FOUND_ROWS,
        )
        # One statement at a time: what slips into one must not become a second.
        connection.client_flag &= ~CLIENT.MULTI_STATEMENTS
        try:
            async with asyncio.timeout(connect_timeout):
                await connection._connect()
        except BaseException:
            connection.close()
            raise
        connection.patience = command_timeout
        return connection

    try:
        return await made(password)
    except err.OperationalError as error:
        before = before_this_one(settings, error)
        if before is None:
            raise
    try:
        return await made(before)
    except err.OperationalError as error:
        if before_this_one(settings, error) is None:
            raise
    # Between the two it learned of the first.
    return await made(password)


async def connect_within(
    seconds: float, settings: DatabaseSettings, application_name: str
) -> Connection:
    """connect(), again and again while the server is away or does not let us in yet.

    Raises DatabaseUnavailableError, which says for how long and why, when `seconds` are over.
    """
    return await connected_within(
        seconds, settings, lambda: connect(settings, application_name), is_unavailable
    )

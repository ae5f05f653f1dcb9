"""A PostgreSQL connection pool over verified TLS that outlives the server's absences."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Mapping

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from prometheus_client import CollectorRegistry

from services.shared.postgres.traced import about
from services.shared.postgres.turnover import NamedConnection, Turnover
from services.shared.runtime.databases import (
    DatabaseUnavailableError,
    connected_within,
    tls_context,
    watch_pool,
)
from services.shared.runtime.settings import (
    DatabaseSettings,
    SettingsError,
    read_login,
    read_secret,
)
from services.shared.tracing import spans

__all__ = [
    "Connection",
    "Database",
    "DatabaseUnavailableError",
    "connect",
    "connect_within",
    "is_unavailable",
]

Connection = asyncpg.Connection | PoolConnectionProxy

# A query that ends in one of these says nothing about the query: the server is away, starting,
# stopping, full, or does not let us in. Client mistakes (asyncpg.DataError) are not among them.
_AWAY = (
    OSError,  # includes TimeoutError, ssl.SSLError and every ConnectionError
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InternalClientError,
    SettingsError,
)


def is_unavailable(error: BaseException) -> bool:
    """Whether `error` means that the database is away rather than that a statement is wrong."""
    if isinstance(error, asyncpg.InterfaceError):
        # asyncpg says "connection is closed" and "pool is closing" this way, but also DataError.
        return not isinstance(error, ValueError)
    return isinstance(error, _AWAY)


async def connect(
    settings: DatabaseSettings,
    application_name: str,
    *,
    connect_timeout: int = 3,
    command_timeout: float | None = None,
    server_settings: Mapping[str, str] | None = None,
) -> NamedConnection:
    """One connection; times in seconds, no command_timeout means that a statement may run on.

    `server_settings` are parameters of the session, which RESET ALL brings back.

    User, password and CA are read each time, so that a rotated file needs no restart.
    Raises whatever asyncpg raises; is_unavailable() sorts it.
    """
    user, password = read_login(settings.user, settings.user_file, settings.password_file)
    connection = await asyncpg.connect(
        connection_class=NamedConnection,
        host=settings.host,
        port=settings.port,
        user=user,
        database=settings.name,
        password=password,
        ssl=tls_context(str(settings.ca_file)),
        timeout=connect_timeout,
        command_timeout=command_timeout,
        server_settings={"application_name": application_name, **(server_settings or {})},
    )
    connection.login = user
    connection.about = about(settings.host, settings.port, settings.name)
    return connection


async def connect_within(
    seconds: float, settings: DatabaseSettings, application_name: str
) -> asyncpg.Connection:
    """connect(), again and again while the server is away or does not let us in yet.

    Raises DatabaseUnavailableError, which says for how long and why, when `seconds` are over.
    """
    return await connected_within(
        seconds, settings, lambda: connect(settings, application_name), is_unavailable
    )


async def _reset(connection: Connection) -> None:
    # asyncpg's own reset is a second round trip after every statement. All it would undo here is
    # a transaction that was left open.
    if connection.is_in_transaction():
        await connection.reset()


class Database:
    """A pool of at most settings.pool_size connections, made when they are first needed.

    Starting does not need the server; connections that broke are replaced on the next use.
    """

    def __init__(
        self,
        settings: DatabaseSettings,
        registry: CollectorRegistry,
        *,
        application_name: str,
        connect_timeout: int = 3,
        acquire_timeout: float = 5.0,
        command_timeout: float = 5.0,
        server_settings: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = settings
        self._application_name = application_name
        self._connect_timeout = connect_timeout
        self._acquire_timeout = acquire_timeout
        self._command_timeout = command_timeout
        self._server_settings = server_settings
        self._pool: asyncpg.Pool | None = None
        self._turnover = Turnover(self.user, self._connect)
        self._following: asyncio.Task[None] | None = None
        self._last_success = -math.inf
        watch_pool(registry, settings, self._size, self._idle)

    def _size(self) -> int:
        return self._pool.get_size() if self._pool else 0

    def _idle(self) -> int:
        return self._pool.get_idle_size() if self._pool else 0

    async def open(self) -> None:
        """Make the pool. Connects to nothing yet."""
        self._pool = await asyncpg.create_pool(
            min_size=0,
            max_size=self._settings.pool_size,
            max_inactive_connection_lifetime=300,
            connect=self._turnover.connect,
            connection_class=NamedConnection,
            reset=_reset,
        )
        if self._settings.user_file is not None:
            self._following = asyncio.create_task(self._turnover.follow(self._pool))

    def user(self) -> str:
        """Whom a connection that is made now logs in as. Raises SettingsError."""
        file = self._settings.user_file
        return self._settings.user if file is None else read_secret(file)

    async def close(self, grace_seconds: float = 10.0) -> None:
        """Let running statements finish for `grace_seconds`, then drop what is left."""
        if self._pool is None:
            return
        if self._following is not None:
            self._following.cancel()
        pool, self._pool = self._pool, None
        try:
            async with asyncio.timeout(grace_seconds):
                await pool.close()
        except TimeoutError:
            pool.terminate()

    async def _connect(self) -> NamedConnection:
        settings = self._settings
        where = about(settings.host, settings.port, settings.name)
        with spans.step(f"CONNECT {settings.name}", "CLIENT", where):
            return await connect(
                settings,
                self._application_name,
                connect_timeout=self._connect_timeout,
                command_timeout=self._command_timeout,
                server_settings=self._server_settings,
            )

    async def connect(self) -> asyncpg.Connection:
        """A connection outside the pool, for LISTEN. The caller closes it."""
        try:
            return await self._connect()
        except Exception as error:
            if is_unavailable(error):
                raise DatabaseUnavailableError(str(error)) from error
            raise

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection from the pool; only database work belongs inside the block.

        What is set on the session stays for the next user: SET LOCAL and transaction-level locks
        only. For LISTEN and session locks use connect().

        Raises DatabaseUnavailableError when the server, or a free connection, is out of reach.
        """
        if self._pool is None:
            raise DatabaseUnavailableError("the pool is closed")
        try:
            async with self._pool.acquire(timeout=self._acquire_timeout) as connection:
                yield connection
            self._last_success = time.monotonic()
        except Exception as error:
            if is_unavailable(error):
                raise DatabaseUnavailableError(f"{type(error).__name__}: {error}") from error
            raise

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        """All rows of one statement, which is its own transaction."""
        async with self.connection() as connection:
            return await connection.fetch(query, *args)

    async def fetchrow(self, query: str, *args: object) -> asyncpg.Record | None:
        """The first row of one statement, which is its own transaction."""
        async with self.connection() as connection:
            return await connection.fetchrow(query, *args)

    async def ping(self) -> None:
        """Return when the database answers; raise DatabaseUnavailableError when not.

        An answer to anybody within the last second counts: a pool that is busy must not make
        its own service look dead.
        """
        if time.monotonic() - self._last_success > 1:
            await self.fetchrow("SELECT 1")

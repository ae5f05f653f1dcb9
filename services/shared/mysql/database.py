"""A MySQL database over verified TLS that outlives the server's absences.

Statements go to the driver itself, with `%s` for parameters, and rows are dictionaries.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import AsyncIterator

from prometheus_client import CollectorRegistry

from services.shared.mysql.connections import Connection, Row, connect, is_unavailable
from services.shared.mysql.pool import Limits, Pool
from services.shared.mysql.traced import connecting
from services.shared.runtime.databases import DatabaseUnavailableError, watch_pool
from services.shared.runtime.settings import DatabaseSettings


class Database:
    """A pool of at most settings.pool_size connections, made when they are first needed.

    Starting does not need the server; connections that broke are replaced on the next use.

    Args:
        kept: how many stay open while nobody uses them.
        spare_seconds: one beyond those is closed when nobody used it for so long.
        retire_seconds: a connection older than this is replaced on its next use.
        metric_name: what the metric calls the pool, where a process has two of one name.
    """

    def __init__(
        self,
        settings: DatabaseSettings,
        registry: CollectorRegistry,
        *,
        application_name: str,
        connect_timeout: float = 3,
        acquire_timeout: float = 5.0,
        command_timeout: float = 5.0,
        kept: int = 10,
        spare_seconds: float = 10.0,
        retire_seconds: int = 300,
        metric_name: str | None = None,
    ) -> None:
        self._settings = settings
        self._application_name = application_name
        self._connect_timeout = connect_timeout
        self._command_timeout = command_timeout
        self._limits = Limits(
            most=settings.pool_size,
            kept=kept,
            spare_seconds=spare_seconds,
            retire_seconds=retire_seconds,
            wait_seconds=acquire_timeout,
        )
        self._pool: Pool | None = None
        self._last_success = -math.inf
        watched = settings.model_copy(update={"name": metric_name or settings.name})
        watch_pool(registry, watched, lambda: self._in_use() + self._idle(), self._idle)

    def _idle(self) -> int:
        return self._pool.idle if self._pool else 0

    def _in_use(self) -> int:
        return self._pool.in_use if self._pool else 0

    async def open(self) -> None:
        """Make the pool. Connects to nothing yet."""
        self._pool = Pool(self.connect, self._limits)

    async def close(self, grace_seconds: float = 10.0) -> None:
        """Let running statements finish for `grace_seconds`, then drop what is left."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.close(grace_seconds)

    async def connect(self) -> Connection:
        """A connection outside the pool, for locks of a session. The caller closes it."""
        try:
            with connecting(self._settings):
                return await connect(
                    self._settings,
                    self._application_name,
                    connect_timeout=self._connect_timeout,
                    command_timeout=self._command_timeout,
                    session="transaction_isolation = 'READ-COMMITTED',"
                    # So that the server gives up, too, on what nobody waits for any more.
                    f" max_execution_time = {int(self._command_timeout * 1000)},"
                    f" innodb_lock_wait_timeout = {max(1, int(self._command_timeout))}",
                )
        except Exception as error:
            if is_unavailable(error):
                raise DatabaseUnavailableError(str(error)) from error
            raise

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection from the pool; only database work belongs inside the block.

        Every statement is its own transaction unless `begin()` is called; what is left open at the
        end is rolled back. What is set on the session stays for the next user.

        Raises DatabaseUnavailableError when the server, or a free connection, is out of reach.
        """
        if self._pool is None:
            raise DatabaseUnavailableError("the pool is closed")
        try:
            async with self._pool.connection() as connection:
                yield connection
            self._last_success = time.monotonic()
        except Exception as error:
            if is_unavailable(error):
                raise DatabaseUnavailableError(f"{type(error).__name__}: {error}") from error
            raise

    async def fetch(self, query: str, *args: object) -> list[Row]:
        """All rows of one statement, which is its own transaction."""
        rows, _ = await self._run(query, args)
        return rows

    async def fetchrow(self, query: str, *args: object) -> Row | None:
        """The first row of one statement, which is its own transaction."""
        rows, _ = await self._run(query, args)
        return rows[0] if rows else None

    async def execute(self, query: str, *args: object) -> int:
        """Run one statement, which is its own transaction; how many rows it found."""
        _, count = await self._run(query, args)
        return count

    async def _run(self, query: str, args: tuple[object, ...]) -> tuple[list[Row], int]:
        async with self.connection() as connection, connection.cursor() as cursor:
            count = await cursor.execute(query, args or None)
            return list(await cursor.fetchall()), count

    async def ping(self) -> None:
        """Return when the database answers; raise DatabaseUnavailableError when not.

        An answer to anybody within the last second counts: a pool that is busy must not make
        its own service look dead.
        """
        if time.monotonic() - self._last_success > 1:
            await self.fetchrow("SELECT 1")

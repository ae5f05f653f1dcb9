"""Writes to MySQL from asyncio with a driver that blocks: in threads, each with its connection."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import math
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter
from pymysql import err
from pymysql.constants import ER

from services.shared.mysql.blocking import Connection, connect
from services.shared.mysql.connections import is_unavailable
from services.shared.mysql.threads import Kept
from services.shared.mysql.traced import connecting
from services.shared.runtime import context
from services.shared.runtime.databases import DatabaseUnavailableError, watch_pool
from services.shared.runtime.once import Once
from services.shared.runtime.settings import DatabaseSettings

T = TypeVar("T")
Work = Callable[[Connection], T]

_LOCKED: Final = frozenset({ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT})
_LOCKED_SECONDS: Final = 10.0
"""For how long somebody else's locks are tried again before they count as an absence."""
_SHORTEST, _LONGEST = 0.02, 0.5


class Writer:
    """At most settings.pool_size statements or transactions at a time, the others wait.

    Deadlocks and lock timeouts are tried again, so all work must be safe to repeat from its start.
    Starting does not need the server; a connection that broke is replaced on the next use.

    Args:
        probe: what ping() asks. One that writes nothing but needs the right and the possibility to
            write (`UPDATE … WHERE FALSE`) fails on a server that is read-only as well.
        retire_seconds: a connection older than this is replaced on its next use.
    """

    def __init__(
        self,
        settings: DatabaseSettings,
        registry: CollectorRegistry,
        *,
        application_name: str,
        probe: str = "SELECT 1",
        connect_timeout: float = 3.0,
        command_timeout: float = 5.0,
        retire_seconds: float = 300.0,
    ) -> None:
        self._probe = probe

        def made() -> Connection:
            with connecting(settings):
                return connect(
                    settings,
                    application_name,
                    connect_timeout=connect_timeout,
                    command_timeout=command_timeout,
                )

        self._kept = Kept(made, retire_seconds)
        self._threads = ThreadPoolExecutor(settings.pool_size, "mysql-writer")
        self._closing = threading.Event()
        self._last_success = -math.inf
        self._ping = Once(self._ask)
        self._retried = Counter(
            "mysql_deadlocks_retried",
            "Tries that ended in a deadlock, or in waiting too long for a lock, and were repeated.",
            registry=registry,
        )
        watch_pool(
            registry,
            settings,
            lambda: self._kept.in_use + self._kept.idle,
            lambda: self._kept.idle,
        )

    async def run(self, work: Work[T]) -> T:
        """What `work` makes of a connection, in a thread; all of it is one transaction.

        Raises DatabaseUnavailableError when the outcome is open or locks are not to be had, and
        the driver's errors for statements that the server refuses.
        """

        def transaction(connection: Connection) -> T:
            connection.begin()
            try:
                answer = work(connection)
                connection.commit()
            except BaseException:
                # Lost, it is rolled back anyway; a lock timeout undid no more than its statement.
                with contextlib.suppress(Exception):
                    connection.rollback()
                raise
            return answer

        return await self._in_thread(transaction)

    async def execute(self, statement: str, args: tuple[object, ...] | None = None) -> int:
        """Run one statement, which is its own transaction; how many rows it found. As run()."""

        def one(connection: Connection) -> int:
            with connection.cursor() as cursor:
                return cursor.execute(statement, args)

        return await self._in_thread(one)

    async def ping(self) -> None:
        """Return when the database would let us write; raise DatabaseUnavailableError when not.

        A success within the last second counts: who has all threads busy is not away.
        """
        if time.monotonic() - self._last_success > 1:
            await self._ping.get(None)

    async def close(self, grace_seconds: float = 10.0) -> None:
        """Let what runs finish for `grace_seconds`, then cut it off."""
        self._closing.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                while self._kept.in_use:  # noqa: ASYNC110 - once, at the end of the process
                    await asyncio.sleep(0.01)
        await asyncio.to_thread(self._kept.close)

    async def _ask(self, _key: None) -> None:
        await self.execute(self._probe)

    async def _in_thread(self, work: Work[T]) -> T:
        if self._closing.is_set():
            raise DatabaseUnavailableError("the writer is closed")
        insist = functools.partial(self._insist, work)
        if context.span() is not None:  # a thread has no context but the one it is given
            insist = functools.partial(contextvars.copy_context().run, insist)
        answer = await asyncio.get_running_loop().run_in_executor(self._threads, insist)
        self._last_success = time.monotonic()
        return answer

    def _insist(self, work: Work[T]) -> T:
        deadline = time.monotonic() + _LOCKED_SECONDS
        pause = _SHORTEST
        while True:
            try:
                with self._kept.connection() as connection:
                    return work(connection)
            except Exception as error:
                if is_unavailable(error):
                    raise DatabaseUnavailableError(f"{type(error).__name__}: {error}") from error
                if not is_locked(error):
                    raise
                if time.monotonic() + pause > deadline or self._closing.is_set():
                    raise DatabaseUnavailableError(f"locked by others: {error}") from error
            self._retried.inc()
            # Two that met once would meet again if both waited for the same time.
            self._closing.wait(random.uniform(pause / 2, pause))  # noqa: S311
            pause = min(_LONGEST, 2 * pause)


def is_locked(error: BaseException) -> bool:
    """Whether somebody else held the locks: the same may go well a moment later."""
    return isinstance(error, err.MySQLError) and bool(error.args) and error.args[0] in _LOCKED

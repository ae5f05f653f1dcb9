"""When a write may wake the relay with NOTIFY, and when it leaves that to one shortly after.

PostgreSQL lets only one transaction with a NOTIFY commit at a time, flush to disk included: with
one in every write, writers queue and lose the group commit (measured here with 10 writers: 280
writes a second with, 450 to 590 without). So the first write of a moment carries the NOTIFY in
its own transaction, and those that follow within the interval share one after their commits.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from services.shared.postgres.database import Database, DatabaseUnavailableError
from services.shared.runtime import context

CHANNEL = "outbox"
"""Where writers say that there is something to publish; the relay listens."""


class Wakeup:
    """At most one NOTIFY per `interval` seconds and process; none is ever owed for longer.

    A process that dies in between owes one: the relay's polling is there for that.
    """

    def __init__(self, database: Database, interval: float = 0.01) -> None:
        self._database = database
        self._interval = interval
        self._last = float("-inf")
        self._owed: asyncio.Task[None] | None = None

    def take(self) -> bool:
        """Whether the write about to start is to carry the NOTIFY."""
        now = time.monotonic()
        if now - self._last < self._interval:
            return False
        self._last = now
        return True

    def owe(self) -> None:
        """A write without one has been committed: send one within the interval."""
        if self._owed is None:
            self._owed = asyncio.create_task(self._pay())

    async def close(self) -> None:
        """Send what is owed, for as long as the database is there."""
        if self._owed is not None:
            await self._owed

    async def _pay(self) -> None:
        context.unbind()  # of all writes since, and not of the one that began it
        await asyncio.sleep(self._interval)
        # From here on a write that commits needs one of its own.
        self._owed = None
        self._last = time.monotonic()
        with contextlib.suppress(DatabaseUnavailableError):
            await self._database.fetchrow("SELECT pg_notify($1, '')", CHANNEL)

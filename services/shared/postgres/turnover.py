"""Connections of a pool are replaced, without anybody's noticing, when they should log in anew."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from services.shared.postgres.traced import TracedConnection
from services.shared.runtime.logging import get_logger
from services.shared.runtime.rounds import keep_doing
from services.shared.runtime.settings import SettingsError

log = get_logger(__name__)

LOOK_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 5.0


class NamedConnection(TracedConnection):
    """A connection that knows whom it logged in as."""

    login: str = ""


class Turnover:
    """Replaces those connections of one pool that are not of the user whom it has now."""

    def __init__(
        self, user: Callable[[], str], connect: Callable[[], Awaitable[NamedConnection]]
    ) -> None:
        self._user = user
        self._connect = connect
        self._made = weakref.WeakSet[NamedConnection]()
        self._ready: NamedConnection | None = None

    async def connect(self, *_args: Any, **_kwargs: Any) -> NamedConnection:
        """A connection for the pool."""
        ready, self._ready = self._ready, None
        made = await self._connect() if ready is None or ready.is_closed() else ready
        self._made.add(made)
        return made

    async def follow(self, pool: asyncpg.Pool) -> None:
        """Look every few seconds whether there are any. Cancel it to stop."""
        await keep_doing(
            lambda: self._look(pool), every=LOOK_SECONDS, trouble="connections_not_renewed"
        )

    async def _look(self, pool: asyncpg.Pool) -> None:
        named = _named(self._user)
        if named is None or not self._others(named):
            return
        while await _close_one(pool, named):
            await self._add_one(pool)
        log.info("connections_renewed", user=named, left=self._others(named))

    def _others(self, named: str) -> int:
        return sum(one.login != named and not one.is_closed() for one in self._made)

    async def _add_one(self, pool: asyncpg.Pool) -> None:
        """Log in beside the pool, where nobody waits for it, and then let the pool have it.

        One after the other: if all did so at once, or those who want a connection, they would wait
        until as many have logged in, on a busy machine for longer than they have patience.
        """
        self._ready = await self._connect()
        try:
            async with _idle(pool), pool.acquire(timeout=_PATIENCE_SECONDS):
                pass  # with none idle the pool makes one more
        finally:
            ready, self._ready = self._ready, None
            if ready is not None:  # it was full again, or is being closed
                await ready.close(timeout=_PATIENCE_SECONDS)


async def _close_one(pool: asyncpg.Pool, named: str) -> bool:
    """Whether there was one of another user among the idle, or the next one that came back."""
    async with _idle(pool, at_least=1) as idle:
        # The pool's own stands in for the connection, with all its attributes.
        other = next((one for one in idle if cast("NamedConnection", one).login != named), None)
        if other is not None:
            idle.remove(other)
    if other is None:
        return False
    await other.close(timeout=_PATIENCE_SECONDS)
    return True


@contextlib.asynccontextmanager
async def _idle(pool: asyncpg.Pool, at_least: int = 0) -> AsyncGenerator[list[PoolConnectionProxy]]:
    """All that nobody uses, or so many. Those still in the list at the end are given back."""
    idle: list[PoolConnectionProxy] = []
    try:
        for _ in range(max(at_least, pool.get_idle_size())):
            idle.append(await pool.acquire(timeout=_PATIENCE_SECONDS))
        yield idle
    finally:
        for one in idle:
            await pool.release(one)


def _named(user: Callable[[], str]) -> str | None:
    try:
        return user()
    except SettingsError:
        return None  # it is just being replaced, or away; who connects meanwhile says so

"""Connections that are kept for their next user: so many at most, fewer while nobody needs them.

aiomysql's own pool keeps whatever it once opened, and SQLAlchemy's takes as much of the processor
as a look-up by key does itself (a switch of greenlets each way).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from pymysql import err

from services.shared.mysql.connections import Connection

_QUIT_SECONDS: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of one pool; times in seconds."""

    most: int
    kept: int
    """How many stay open while nobody uses them."""
    spare_seconds: float
    """One beyond those is closed when nobody used it for so long."""
    retire_seconds: float
    """A connection older than this is replaced on its next use."""
    wait_seconds: float
    """For one to be free."""


@dataclass(eq=False, slots=True)
class _Held:
    driver: Any
    made: float
    idle_since: float = 0.0


class Pool:
    """Makes connections when they are first needed; starting does not need the server."""

    def __init__(self, make: Callable[[], Awaitable[Connection]], limits: Limits) -> None:
        self._make = make
        self._limits = limits
        self._places = asyncio.Semaphore(limits.most)
        self._idle: deque[_Held] = deque()
        """The one used last at the right: it goes first, and those of a rush are left to age."""
        self._in_use: set[_Held] = set()
        self._good_from = float("-inf")
        """Those made before are not used again."""
        self._closed = False

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def in_use(self) -> int:
        return len(self._in_use)

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """One that nobody else has meanwhile; a transaction that was left open is rolled back.

        Raises TimeoutError when none is free in time, and what making one raises.
        """
        held = await self._take()
        sound = False
        try:
            yield held.driver
            await _end(held.driver)
            sound = True
        except Exception:
            # A wrong statement does the connection no harm, unless it turns out to be lost.
            with contextlib.suppress(Exception):
                await _end(held.driver)
                sound = True
            raise
        finally:
            # Where its user was cancelled an answer may still be under way: nobody may read it.
            self._give(held, sound)
        await self._close_spare()

    async def close(self, grace_seconds: float) -> None:
        """Let those in use come back for `grace_seconds`, then drop what is left."""
        self._closed = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                while self._in_use:  # noqa: ASYNC110 - once, at the end of the process
                    await asyncio.sleep(0.01)
        for held in self._in_use:
            held.driver.close()
        while self._idle:
            await _quit(self._idle.pop())

    async def _take(self) -> _Held:
        if self._places.locked():
            try:
                async with asyncio.timeout(self._limits.wait_seconds):
                    await self._places.acquire()
            except TimeoutError:
                raise TimeoutError(
                    f"all {self._limits.most} connections were in use for"
                    f" {self._limits.wait_seconds:g} s"
                ) from None
        else:
            await self._places.acquire()
        try:
            held = await self._sound() or _Held(await self._make(), time.monotonic())
        except BaseException:
            self._places.release()
            raise
        self._in_use.add(held)
        return held

    async def _sound(self) -> _Held | None:
        """The one used last that is as good as new."""
        while self._idle:
            held = self._idle.pop()
            if _lost(held.driver):
                # The server went, and took all with it that were there; some do not know it yet.
                self._good_from = time.monotonic()
            if held.made < self._good_from:
                held.driver.close()
            elif time.monotonic() - held.made > self._limits.retire_seconds:
                await _quit(held)
            else:
                return held
        return None

    def _give(self, held: _Held, sound: bool) -> None:
        self._in_use.discard(held)
        if sound and not self._closed and held.made >= self._good_from:
            held.idle_since = time.monotonic()
            self._idle.append(held)
        else:
            held.driver.close()
        self._places.release()

    async def _close_spare(self) -> None:
        """Those beyond the ones kept that were not used of late.

        Not each as it comes back: in a rush every statement beyond them would pay TLS and a login,
        when there is least time for it.
        """
        limits = self._limits
        while len(self._idle) > limits.kept:
            if time.monotonic() - self._idle[0].idle_since < limits.spare_seconds:
                return
            await _quit(self._idle.popleft())


async def _end(driver: Any) -> None:
    """End a transaction that was left open. Raises when the connection is no more."""
    if driver.closed:
        raise err.InterfaceError("the connection was lost")
    if driver.get_transaction_status():
        await driver.rollback()


def _lost(driver: Any) -> bool:
    return driver.closed or driver._reader.at_eof() or driver._reader.exception() is not None


async def _quit(held: _Held) -> None:
    """Close it as the protocol has it, so that the server counts no connection that broke off."""
    try:
        with contextlib.suppress(OSError, EOFError):
            async with asyncio.timeout(_QUIT_SECONDS):
                await held.driver.ensure_closed()
    finally:
        held.driver.close()

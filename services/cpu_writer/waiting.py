"""Waiting for what may take long, or for ever, while the heartbeat goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import TypeVar

from services.shared.runtime.heartbeat import Heartbeat

T = TypeVar("T")
_BEAT_SECONDS = 1.0


class StoppedError(Exception):
    """The service is to stop, and what was waited for has not come."""


class Waiting:
    """Ends with what is waited for, or when the service is to stop."""

    def __init__(self, heartbeat: Heartbeat, stop: asyncio.Event) -> None:
        self._heartbeat = heartbeat
        self._stop = stop

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    async def patiently(self, action: Awaitable[T]) -> T:
        """What `action` gives, however long it takes: it has deadlines of its own."""
        return await self._wait(asyncio.ensure_future(action), until_stop=False)

    async def unless_stopped(self, action: Awaitable[T]) -> T:
        """What `action` gives. Raises StoppedError when the service is to stop before."""
        return await self._wait(asyncio.ensure_future(action), until_stop=True)

    async def rest(self, seconds: float) -> None:
        """Wait, alive; not longer than until the service is to stop."""
        with contextlib.suppress(StoppedError):
            await self.unless_stopped(asyncio.sleep(seconds))

    async def _wait(self, task: asyncio.Future[T], *, until_stop: bool) -> T:
        stopping = asyncio.ensure_future(self._stop.wait())
        awaited = {task, stopping} if until_stop else {task}
        try:
            while not task.done():
                self._heartbeat.beat()
                if until_stop and stopping.done():
                    raise StoppedError
                await asyncio.wait(
                    awaited, timeout=_BEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
            return task.result()
        finally:
            for one in (stopping, task):
                one.cancel()
            await asyncio.gather(stopping, task, return_exceptions=True)

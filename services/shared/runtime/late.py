"""A limit of time for what a task waits for, at a fifth of the price of asyncio.timeout()."""

from __future__ import annotations

import asyncio
from typing import Any


class Late:
    """Cancels a task when it is called, by a timer for one, and remembers that it was this."""

    __slots__ = ("_task", "called")

    def __init__(self, task: asyncio.Task[Any] | None) -> None:
        """`task`: the one that is running."""
        assert task is not None, "only a task can be late"
        self._task = task
        self.called = False

    def __call__(self) -> None:
        self.called = True
        self._task.cancel()

    def cancelled(self) -> bool:
        """Of a task that was cancelled: whether it was by this and by nobody else. Ask once."""
        return self.called and not self._task.uncancel()

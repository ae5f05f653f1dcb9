"""One who watches tasks, and what is kept for them while they are busy with what came before."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from services.grpc_service.cursors import Filters
from services.grpc_service.model import Task
from services.grpc_service.snapshots import Snapshot


class BehindError(Exception):
    """More has changed since the last look than is kept: the database knows what."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody watches. task_id: only this one."""

    filters: Filters
    task_id: str | None = None

    def matches(self, task: Task) -> bool:
        """Whether they are to be told of it, as it is."""
        asked = self.filters
        return (
            (self.task_id is None or self.task_id == task.id)
            and (asked.resource_id is None or asked.resource_id == task.resource_id)
            and (asked.status is None or asked.status is task.status)
            and (asked.action is None or asked.action == task.action)
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Of what has changed between two snapshots all that is wanted, each task once, in the order of
    their transactions."""

    tasks: Sequence[Task]
    since: Snapshot
    until: Snapshot


class Watcher:
    """Hears of every change from `since` on, and keeps of each task the newest state, of `most`
    tasks at most."""

    __slots__ = ("_kept", "_most", "_news", "over", "reached", "since", "wanted")

    def __init__(self, wanted: Wanted, since: Snapshot, most: int) -> None:
        self.wanted = wanted
        self.since = since
        """Up to where next() has told."""
        self.reached = since
        """Up to where everything was heard."""
        self.over = False
        """Whether waiting is of no use any more."""
        self._most = most
        self._kept: dict[str, Task] | None = {}
        self._news = asyncio.Event()

    def hear(self, task: Task) -> None:
        """It has changed."""
        if self._kept is None:
            return
        if not self.wanted.matches(task):
            self._kept.pop(task.id, None)
            return
        self._kept[task.id] = task
        if len(self._kept) > self._most:
            self.lose()  # a stream that is read too slowly, or by nobody
        self._news.set()

    def lose(self) -> None:
        """Keep nothing any more: they have to read what they miss."""
        self._kept = None
        self._news.set()

    def let_go(self) -> None:
        """Wait no more."""
        self.over = True
        self._news.set()

    async def next(self, seconds: float) -> Batch:
        """What has changed since the last time, as soon as there is something; after so many
        seconds, or when it is `over`, there may be nothing. Raises BehindError."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()
        if self._kept is None:
            raise BehindError
        kept, self._kept = self._kept, {}
        batch = Batch(sorted(kept.values(), key=_order), self.since, self.reached)
        self.since = self.reached
        return batch


def _order(task: Task) -> tuple[int, str]:
    return task.change, task.id

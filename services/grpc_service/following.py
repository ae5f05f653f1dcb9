"""What one stream tells: first what it has missed, page by page, then what changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import suppress
from typing import Final

from services.grpc_service.cursors import BadCursorError
from services.grpc_service.model import Task
from services.grpc_service.settings import TaskSettings
from services.grpc_service.snapshots import Snapshot
from services.grpc_service.watchers import BehindError, Wanted
from services.grpc_service.watching import Watch

_AT_A_TIME: Final = 2
"""Streams that read what they have missed: after a restart all come at once, and calls need
connections of the same pool."""

Told = tuple[Task | None, Snapshot]
"""A task that has changed, None: nothing has; and from where on to tell who has got this."""


class Following:
    """For all streams of a process.

    While the database is away a stream that has begun waits, as nothing of what changes then is
    lost; one that would begin, or has to read what it has missed, ends.
    """

    def __init__(self, watch: Watch, settings: TaskSettings) -> None:
        self._watch = watch
        self._settings = settings
        self._turn = asyncio.Semaphore(_AT_A_TIME)

    async def follow(self, wanted: Wanted, since: Snapshot | None) -> AsyncGenerator[Told, None]:
        """For ever. `since`: where a stream before has ended; None: from now on.

        The first says that it has begun. Raises BadCursorError, DatabaseUnavailableError.
        """
        begun, most, changes = False, self._settings.watch_page_size, self._watch.changes
        while True:
            async with self._watch.joined(wanted) as watcher:
                start = watcher.since
                since = since or start
                if since.end > start.end:
                    raise BadCursorError  # of another server, or from before a restore
                if not begun:
                    yield None, since
                    begun = True
                while since != start:
                    async with self._turn:
                        heard = await changes.between(since, start, wanted.filters, most)
                    for told in _each(heard.tasks, since, heard.reached):
                        yield told
                    since = heard.reached
                with suppress(BehindError):
                    while True:
                        batch = await watcher.next(self._settings.watch_renew_seconds)
                        for told in _each(batch.tasks, batch.since, batch.until):
                            yield told
                since = watcher.since


def _each(tasks: Sequence[Task], since: Snapshot, until: Snapshot) -> Iterator[Told]:
    """All tasks that have changed between the two; nothing, once, if none has but others have."""
    if not tasks and since != until:
        yield None, until
    for place, task in enumerate(tasks, 1):
        if place == len(tasks):
            yield task, until
        else:
            # Of a transaction of which more is to come, nothing counts as told yet.
            whole = task.change < tasks[place].change
            yield task, since.towards(until, task.change if whole else task.change - 1)

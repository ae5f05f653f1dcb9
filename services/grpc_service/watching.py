"""Tells whoever watches of tasks as they change: one reader of a process for all of them.

It looks when something was written (the outbox's NOTIFY: all beginnings and ends of tasks come with
an event) and once in a while, which is when attempts that begin or are to be tried again are seen:
a NOTIFY for these would have writers commit one at a time for the sake of who happens to watch.
While nobody does, nothing is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

from services.grpc_service.changes import Heard
from services.grpc_service.cursors import Filters
from services.grpc_service.settings import TaskSettings
from services.grpc_service.snapshots import Snapshot
from services.grpc_service.watchers import Wanted, Watcher
from services.shared.runtime.logging import get_logger
from services.shared.runtime.trouble import Trouble

log = get_logger(__name__)

_AGAIN_SECONDS: Final = 1.0
_EVERY: Final = Filters()


class Changes(Protocol):
    """The part of changes.Changes that is used here."""

    async def now(self) -> Snapshot: ...
    async def between(
        self, since: Snapshot, until: Snapshot | None, filters: Filters, limit: int
    ) -> Heard: ...


class Bell(Protocol):
    """The part of Wake that is used here."""

    def set(self) -> None: ...
    async def wait(self, seconds: float) -> None: ...


class Watch:
    """Of one process. `bell`: rings when tasks may have changed; nobody else waits for it."""

    def __init__(self, changes: Changes, bell: Bell, settings: TaskSettings) -> None:
        self.changes = changes
        """For who has to read what it has missed."""
        self._bell = bell
        self._settings = settings
        self._reached: Snapshot | None = None
        self._joining: dict[asyncio.Future[Watcher], Wanted] = {}
        # By the resource that they watch; None: whichever.
        self._watchers: dict[str | None, set[Watcher]] = {}
        self._over = False
        self._trouble = Trouble()

    def __len__(self) -> int:
        """How many watch."""
        return len(self._everybody())

    async def run(self, stopping: asyncio.Event) -> None:
        """Read for those who watch; cancel it to stop.

        From `stopping` on, of which the bell has to tell, too, nobody waits for one task any more.
        Others are told on: their streams end with the server.
        """
        loop, not_before = asyncio.get_running_loop(), 0.0
        while True:
            await self._bell.wait(self._settings.watch_poll_seconds)
            await asyncio.sleep(max(0.0, not_before - loop.time()))
            if stopping.is_set():
                self._let_go()
            not_before = await self._turn() + loop.time()

    async def _turn(self) -> float:
        """Look, if anybody watches; for how many seconds nobody is to look again."""
        if not self._joining and not self._watchers:
            self._reached = None
            return 0.0
        joining, self._joining = self._joining, {}
        try:
            if await self._round(joining):
                self._bell.set()
        except Exception as error:  # whatever it is, who watches already waits, and goes on
            self._refuse(joining, error)
            return _AGAIN_SECONDS
        if self._trouble.over():
            log.info("changes_read_again")
        return self._settings.watch_pause_seconds

    async def _round(self, joining: dict[asyncio.Future[Watcher], Wanted]) -> bool:
        """Tell everybody what there is; whether there is more."""
        if self._reached is None:
            self._reached, more = await self.changes.now(), False
        else:
            most = self._settings.watch_page_size
            heard = await self.changes.between(self._reached, None, _EVERY, most)
            self._tell(heard, lost=heard.reached.end < self._reached.end)
            self._reached, more = heard.reached, heard.more
        if more:  # who joins now would be told what they have seen already
            self._joining = {**joining, **self._joining}
            return True
        for joined, wanted in joining.items():
            if not joined.done():
                watcher = Watcher(wanted, self._reached, self._settings.watch_kept)
                self._watchers.setdefault(wanted.filters.resource_id, set()).add(watcher)
                joined.set_result(watcher)
        return False

    def _tell(self, heard: Heard, *, lost: bool) -> None:
        """lost: the database was brought back to an earlier state, with other transactions since.
        Nobody knows what somebody has seen of these."""
        of_all = self._watchers.get(None, set())
        for task in heard.tasks:
            for watcher in of_all:
                watcher.hear(task)
            for watcher in self._watchers.get(task.resource_id, ()):
                watcher.hear(task)
        for watcher in self._everybody() if lost or heard.reached != self._reached else ():
            watcher.reached = heard.reached
            if lost:
                watcher.lose()

    def _refuse(self, joining: dict[asyncio.Future[Watcher], Wanted], error: Exception) -> None:
        for joined in joining:
            if not joined.done():
                joined.set_exception(error)
        if self._trouble.worth_logging("changes_not_read"):
            log.warning("changes_not_read", error=f"{type(error).__name__}: {error}")

    def _let_go(self) -> None:
        self._over = True
        for watcher in self._everybody():
            if watcher.wanted.task_id is not None:
                watcher.let_go()

    def _everybody(self) -> list[Watcher]:
        return [watcher for some in self._watchers.values() for watcher in some]

    @asynccontextmanager
    async def joined(self, wanted: Wanted) -> AsyncIterator[Watcher]:
        """Somebody who hears of what is not seen yet when this is called, or a little before.

        Raises what reading raises: DatabaseUnavailableError.
        """
        joined: asyncio.Future[Watcher] = asyncio.get_running_loop().create_future()
        self._joining[joined] = wanted
        self._bell.set()
        try:
            watcher = await joined
            if self._over and wanted.task_id is not None:
                watcher.let_go()
            yield watcher
        finally:
            self._joining.pop(joined, None)
            if joined.done() and not joined.cancelled() and joined.exception() is None:
                self._leave(joined.result())

    def _leave(self, watcher: Watcher) -> None:
        of = watcher.wanted.filters.resource_id
        some = self._watchers[of]
        some.discard(watcher)
        if not some:
            del self._watchers[of]

"""Tells whoever watches of tasks as they change: one reader of a process for all of them."""

from __future__ import annotations

import asyncio
from typing import Protocol

from services.grpc_service.changes import Changes
from services.grpc_service.settings import TaskSettings


class Bell(Protocol):
    """The part of Wake that is used here."""

    def set(self) -> None: ...
    async def wait(self, seconds: float) -> None: ...


class Watch:
    """Of one process. `bell`: rings when tasks may have changed; nobody else waits for it."""

    def __init__(self, changes: Changes, bell: Bell, settings: TaskSettings) -> None:
        self._changes = changes
        self._bell = bell
        self._settings = settings

    async def run(self, stopping: asyncio.Event) -> None:
        """Read for those who watch. From `stopping` on, of which the bell has to tell, too, calls
        that wait for a task are answered; streams are told until this is cancelled."""
        raise NotImplementedError

"""What is tended beside consuming and running: what can be forgotten, and the gauges over tasks.

The outbox's partitions are its relay's.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from services.grpc_service.metrics import TaskMetrics
from services.grpc_service.store import TaskStore
from services.shared.inbox.metrics import counted
from services.shared.inbox.store import Inbox
from services.shared.runtime.logging import get_logger
from services.shared.runtime.rounds import keep_doing

log = get_logger(__name__)

COUNTED: Final = 100_000
"""Open tasks are counted up to here: past it the number is the same news, and costs more."""


async def keep_forgetting(
    store: TaskStore, inbox: Inbox, metrics: TaskMetrics, *, days: int, every: float
) -> None:
    """Drop tasks and orders that ended `days` ago, every so many seconds. Cancel it to stop."""

    async def forget() -> None:
        with counted(metrics.database, "upkeep"):
            forgotten = await store.forget(timedelta(days=days))
            await inbox.forget_ended(days)
        if forgotten:
            log.info("tasks_forgotten", count=forgotten)

    await keep_doing(forget, every=every, trouble="upkeep_failed")


async def watch_open(store: TaskStore, metrics: TaskMetrics, every: float) -> None:
    """Refresh the gauges over open tasks every so many seconds. Cancel it to stop."""

    async def look() -> None:
        found = await store.open(COUNTED)
        metrics.open.set(found.count)
        metrics.oldest_age.set(found.oldest_seconds)

    await keep_doing(look, every=every, trouble="open_tasks_unknown")

"""What the worker tends beside consuming: partitions, and what it can forget."""

from __future__ import annotations

from dataclasses import replace

from services.event_worker.metrics import WorkerMetrics
from services.event_worker.settings import WorkerSettings
from services.shared.inbox.metrics import counted
from services.shared.inbox.store import Inbox
from services.shared.postgres.database import Database
from services.shared.postgres.partitions import PartitionedTable, create_ahead, drop_old, server_day
from services.shared.runtime.logging import get_logger
from services.shared.runtime.rounds import keep_doing

log = get_logger(__name__)

PROCESSED = PartitionedTable("processed_events")


async def tend_tables(
    database: Database, inbox: Inbox, settings: WorkerSettings, retention_days: int
) -> None:
    """One round: partitions ahead, partitions past retention, orders long ended.

    The id says when an event was made, which may be weeks before it is published and processed.
    Only from then on can it come again, so a partition stays while it has a row processed lately.
    """
    table = replace(PROCESSED, keep=f"processed_at >= now() - interval '{retention_days} days'")
    async with database.connection() as connection:
        today = await server_day(connection)
        created = await create_ahead(connection, PROCESSED, today, settings.partitions_ahead_days)
        dropped, _ = await drop_old(connection, table, today, retention_days)
    await inbox.forget_ended(retention_days)
    if created or dropped:
        log.info("partitions_tended", created=created, dropped=dropped)


async def keep_tables(
    database: Database,
    inbox: Inbox,
    metrics: WorkerMetrics,
    settings: WorkerSettings,
    retention_days: int,
) -> None:
    """tend_tables() for ever. Cancel it to stop."""

    async def tend() -> None:
        with counted(metrics.database, "upkeep"):
            await tend_tables(database, inbox, settings, retention_days)

    # While it fails the default partition catches the rows.
    await keep_doing(tend, every=settings.upkeep_interval_seconds, trouble="upkeep_failed")

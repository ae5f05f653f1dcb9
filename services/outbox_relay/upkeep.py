"""What the relay does beside publishing: partitions, and the gauges over the outbox."""

from __future__ import annotations

from services.outbox_relay.metrics import RelayMetrics
from services.outbox_relay.settings import RelaySettings
from services.outbox_relay.store import OutboxStore
from services.shared.outbox.events import EVENTS
from services.shared.postgres.database import Database
from services.shared.postgres.partitions import PartitionedTable, create_ahead, drop_old, server_day
from services.shared.runtime.logging import get_logger
from services.shared.runtime.rounds import keep_doing

log = get_logger(__name__)

OUTBOX = PartitionedTable(EVENTS, keep="processed_at IS NULL")


async def tend_partitions(
    database: Database, metrics: RelayMetrics, settings: RelaySettings
) -> None:
    """One round: create partitions ahead, drop those past retention without unsent events.

    Raises DatabaseUnavailableError, and asyncpg's errors when a lock was not to be had.
    """
    async with database.connection() as connection:
        today = await server_day(connection)
        created = await create_ahead(connection, OUTBOX, today, settings.partitions_ahead_days)
        dropped, kept = await drop_old(connection, OUTBOX, today, settings.retention_days)
    metrics.partitions_kept.set(len(kept))
    if created or dropped:
        log.info("partitions_tended", created=created, dropped=dropped)
    if kept:
        log.warning("partitions_hold_unsent_events", kept=kept)


async def keep_partitions(
    database: Database, metrics: RelayMetrics, settings: RelaySettings
) -> None:
    """tend_partitions() for ever. Cancel it to stop."""
    # While it fails the default partition catches the rows.
    await keep_doing(
        lambda: tend_partitions(database, metrics, settings),
        every=settings.upkeep_interval_seconds,
        trouble="upkeep_failed",
    )


async def watch_backlog(store: OutboxStore, metrics: RelayMetrics, interval: float) -> None:
    """Refresh the gauges over the outbox every `interval` seconds. Cancel it to stop."""

    async def look() -> None:
        backlog = await store.backlog()
        metrics.unsent.set(backlog.unsent)
        metrics.oldest_age.set(backlog.oldest_seconds)
        metrics.parked_keys.set(backlog.parked_keys)

    await keep_doing(look, every=interval, trouble="backlog_unknown")

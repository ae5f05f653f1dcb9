"""What the worker does with messages and beside them, made of what every consumer is given."""

from __future__ import annotations

from functools import partial

from services.event_worker.metrics import WorkerMetrics
from services.event_worker.records import to_record
from services.event_worker.rows import ProcessedEvents
from services.event_worker.settings import RetentionSettings, WorkerSettings
from services.event_worker.upkeep import keep_tables
from services.shared.inbox.consumed import Consumed
from services.shared.inbox.gaps import Gaps, keep_closing_gaps
from services.shared.inbox.processing import Processor
from services.shared.inbox.store import Inbox
from services.shared.kafka.group import GroupSettings
from services.shared.wiring.consumer import Means, Work


def work(
    means: Means, group: GroupSettings, settings: WorkerSettings, retention: RetentionSettings
) -> Work:
    """Store events; close gaps among those held back, and tend the tables."""
    metrics = WorkerMetrics(means.registry)
    inbox = Inbox(means.database, ProcessedEvents(), settings.gap_deadline_seconds)
    processor = Processor(inbox, metrics, to_record)
    gaps = Gaps(processor, inbox, Consumed(means.observer, group.topics), metrics)
    return Work(
        processor.process,
        beside=(
            partial(keep_closing_gaps, gaps, metrics, settings.gap_check_seconds),
            partial(keep_tables, means.database, inbox, metrics, settings, retention.days),
        ),
    )

"""What the worker does with messages and beside them, made of what every consumer is given."""

from __future__ import annotations

from functools import partial

from services.event_worker.consumed import Consumed
from services.event_worker.gaps import Gaps
from services.event_worker.metrics import WorkerMetrics
from services.event_worker.processing import Processor
from services.event_worker.records import numbers_events
from services.event_worker.settings import RetentionSettings, WorkerSettings
from services.event_worker.store import EventStore
from services.event_worker.upkeep import keep_closing_gaps, keep_tables
from services.shared.kafka.group import GroupSettings
from services.shared.wiring.consumer import Means, Work


def work(
    means: Means, group: GroupSettings, settings: WorkerSettings, retention: RetentionSettings
) -> Work:
    """Store events; close gaps among those held back, and tend the tables."""
    metrics = WorkerMetrics(means.registry)
    store = EventStore(means.database, settings.gap_deadline_seconds)
    processor = Processor(store, metrics)
    numbered = [topic for topic in group.topics if numbers_events(topic)]
    gaps = Gaps(processor, store, Consumed(means.observer, numbered), metrics)
    return Work(
        processor.process,
        beside=(
            partial(keep_closing_gaps, gaps, metrics, settings.gap_check_seconds),
            partial(keep_tables, means.database, store, metrics, settings, retention.days),
        ),
    )

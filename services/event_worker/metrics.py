"""The worker's Prometheus metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.shared.runtime.metrics import LATENCY_BUCKETS

_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class WorkerMetrics:
    """All metrics of one worker."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.messages = Counter(
            "worker_messages_processed",
            "Messages by outcome: processed, late, duplicate, held, dead_letter.",
            ["event_type", "outcome"],
            registry=registry,
        )
        self.duration = Histogram(
            "worker_processing_duration_seconds",
            "Time from a batch's arrival to its commit.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.database = Counter(
            "worker_db_operations",
            "Database transactions by outcome: success, error.",
            ["operation", "outcome"],
            registry=registry,
        )
        self.batch_size = Histogram(
            "inbox_batch_size", "Messages per batch.", buckets=_SIZES, registry=registry
        )
        self.event_age = Histogram(
            "inbox_event_age_seconds",
            "Time from an event's making to its effect (two machines' clocks).",
            buckets=(*LATENCY_BUCKETS, 30.0, 60.0, 300.0),
            registry=registry,
        )
        self.held = Gauge(
            "inbox_held_events",
            "Events that wait for an earlier one of their resource.",
            registry=registry,
        )
        self.overdue = Gauge(
            "inbox_held_events_overdue",
            "Of these, events past the deadline; what they wait for may come yet.",
            registry=registry,
        )
        self.gaps = Counter(
            "inbox_gaps_released",
            "Gaps in the versions of a resource given up; a gap is one however many are missing.",
            registry=registry,
        )

    @contextmanager
    def counted(self, operation: str) -> Iterator[None]:
        """Count what is done inside as one transaction or round of `operation`."""
        outcome = "error"
        try:
            yield
            outcome = "success"
        finally:
            self.database.labels(operation, outcome).inc()

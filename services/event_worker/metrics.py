"""The worker's Prometheus metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.shared.inbox.metrics import InboxMetrics
from services.shared.runtime.metrics import LATENCY_BUCKETS


class WorkerMetrics:
    """All metrics of one worker: those of its inbox, and the names that are its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.inbox = InboxMetrics(registry)
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

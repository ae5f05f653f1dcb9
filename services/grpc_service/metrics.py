"""The Prometheus metrics of tasks."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.shared.inbox.metrics import InboxMetrics
from services.shared.runtime.metrics import LATENCY_BUCKETS


class TaskMetrics:
    """All metrics of one process: of its inbox, and of tasks from their making to their end."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.inbox = InboxMetrics(registry)
        self.messages = Counter(
            "tasks_messages_processed",
            "Messages by outcome: processed, late, duplicate, held, dead_letter.",
            ["event_type", "outcome"],
            registry=registry,
        )
        self.duration = Histogram(
            "tasks_processing_duration_seconds",
            "Time from a batch of messages' arrival to its commit.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.database = Counter(
            "tasks_db_operations",
            "Database transactions by outcome: success, error.",
            ["operation", "outcome"],
            registry=registry,
        )
        self.created = Counter(
            "tasks_created",
            "Tasks made of events, and for callers.",
            ["action"],
            registry=registry,
        )
        self.attempts = Counter(
            "task_attempts",
            "Attempts by outcome: completed, failed, retried, lost (another process has it now).",
            ["action", "outcome"],
            registry=registry,
        )
        self.finished = Counter(
            "tasks_finished",
            "Tasks that came to their end: completed, failed.",
            ["action", "status"],
            registry=registry,
        )
        self.whole_seconds = Histogram(
            "task_duration_seconds",
            "Time from a task's making to its end, by the database's clock.",
            buckets=(*LATENCY_BUCKETS, 30.0, 60.0, 300.0),
            registry=registry,
        )
        self.run_seconds = Histogram(
            "task_run_seconds",
            "Time of one attempt, in its process and on the way there and back.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.restarts = Counter(
            "task_process_restarts",
            "Processes replaced because they died, or were ended for want of an answer.",
            registry=registry,
        )
        self.open = Gauge(
            "tasks_pending",
            "Tasks without an end yet, those that run included; counted up to 100,000.",
            registry=registry,
        )
        self.oldest_age = Gauge(
            "tasks_oldest_pending_age_seconds",
            "Time since the making of the oldest task without an end; 0 while there is none.",
            registry=registry,
        )

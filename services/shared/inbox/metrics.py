"""The metrics of an inbox, the same in every service that has one, and those a service names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.shared.runtime.metrics import LATENCY_BUCKETS

_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class InboxMetrics:
    """All metrics of one inbox that are called the same everywhere."""

    def __init__(self, registry: CollectorRegistry) -> None:
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
            "Events that wait for an earlier one of their aggregate.",
            registry=registry,
        )
        self.overdue = Gauge(
            "inbox_held_events_overdue",
            "Of these, events past the deadline; what they wait for may come yet.",
            registry=registry,
        )
        self.gaps = Counter(
            "inbox_gaps_released",
            "Gaps in the versions of an aggregate given up; a gap is one however many are missing.",
            registry=registry,
        )


class Metrics(Protocol):
    """Those of a service with an inbox; all but `inbox` have names of the service's own.

    messages: by event_type and outcome (processed, late, duplicate, held, dead_letter). duration:
    seconds from a batch's arrival to its commit. database: by operation and outcome, see counted().
    """

    inbox: InboxMetrics
    messages: Counter
    duration: Histogram
    database: Counter


@contextmanager
def counted(database: Counter, operation: str) -> Iterator[None]:
    """Count what is done inside as one transaction or round of `operation`: success, or error."""
    outcome = "error"
    try:
        yield
        outcome = "success"
    finally:
        database.labels(operation, outcome).inc()

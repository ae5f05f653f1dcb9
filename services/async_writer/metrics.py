"""The writer's Prometheus metrics, beside those of its place in the group."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.shared.runtime.metrics import LATENCY_BUCKETS

_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class WriterMetrics:
    """All metrics of one writer."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.written = Counter(
            "async_writer_points_written",
            "Points that are stored, or that a newer value of their key made superfluous.",
            registry=registry,
        )
        self.dead = Counter(
            "async_writer_points_dead",
            "Messages set aside: no point, or refused by the database.",
            registry=registry,
        )
        self.statements = Counter(
            "async_writer_statements",
            "INSERT statements sent: one per batch, more while a bad point is looked for.",
            registry=registry,
        )
        self.batch_points = Histogram(
            "async_writer_batch_points", "Messages per batch.", buckets=_SIZES, registry=registry
        )
        self.batch_seconds = Histogram(
            "async_writer_batch_seconds",
            "Time from a batch's turn until its points are stored.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )

"""The writer's Prometheus metrics."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.cpu_writer.windows import UNREADABLE
from services.shared.kafka.consumer_metrics import ConsumerMetrics
from services.shared.runtime.metrics import LATENCY_BUCKETS


class WriterMetrics:
    """All metrics of one writer."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.consumer = ConsumerMetrics(registry)
        self.written = Counter(
            "cpu_writer_windows_written",
            "Rollups written: windows of a device and a metric.",
            registry=registry,
        )
        self.late = Counter(
            "cpu_writer_points_late",
            "Points in no rollup: closed (they came after their window closed), ahead (they claim"
            " to be of a time that had not come).",
            ["reason"],
            registry=registry,
        )
        self.unreadable = Counter(
            "cpu_writer_points_unreadable", "Messages that are no points.", registry=registry
        )
        self.open = Gauge(
            "cpu_writer_windows_open",
            "Windows of a partition that may still get points.",
            registry=registry,
        )
        self.held = Gauge(
            "cpu_writer_held_bytes", "Memory for the points of open windows.", registry=registry
        )
        self.waiting = Gauge(
            "cpu_writer_partitions_waiting",
            "Partitions that are not read because the memory for points is used up.",
            registry=registry,
        )
        self.pool_restarts = Counter(
            "cpu_writer_pool_restarts",
            "Pools of processes replaced because one of them died.",
            registry=registry,
        )
        self.write_seconds = Histogram(
            "cpu_writer_write_seconds",
            "Time from a window's closing to its rollups being in the database.",
            buckets=(*LATENCY_BUCKETS, 30.0, 60.0, 300.0),
            registry=registry,
        )
        for reason in ("closed", "ahead"):
            self.late.labels(reason)

    def left_out(self, counts: Mapping[str, int]) -> None:
        """Count messages that are in no window, by reason."""
        for reason, count in counts.items():
            if reason == UNREADABLE:
                self.unreadable.inc(count)
            else:
                self.late.labels(reason).inc(count)

"""Telemetry's Prometheus metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.shared.runtime.metrics import LATENCY_BUCKETS

REFUSED_FOR = ("invalid", "full", "away", "unknown")
"""A fault in the request; too many points wait already; Kafka was known to be away, so nothing was
sent; it did not acknowledge all in time, so some may be there."""


class TelemetryMetrics:
    """All metrics of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.accepted = Counter(
            "ingest_points_accepted",
            "Points that all in-sync replicas have.",
            registry=registry,
        )
        self.refused = Counter(
            "ingest_points_refused",
            "Points of requests that were not answered with 202: invalid (a request whose points"
            " nobody could count is one), full, away, unknown.",
            ["reason"],
            registry=registry,
        )
        self.waiting = Gauge(
            "ingest_points_waiting", "Points that wait for Kafka's word.", registry=registry
        )
        self.seconds = Histogram(
            "ingest_points_acknowledge_seconds",
            "Time until all points of a request were acknowledged.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.producers = Counter(
            "ingest_producers",
            "Kafka producers made: the first, and each in place of one that broke or was idle.",
            registry=registry,
        )
        for reason in REFUSED_FOR:
            self.refused.labels(reason)

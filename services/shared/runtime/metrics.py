"""Prometheus metrics in a registry that the service owns, so that tests can have many."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from services.shared.runtime.certificates import CertificateCollector
from services.shared.runtime.span_counts import SpanCollector

LATENCY_BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Seconds. 2.0 is there so that "within two seconds" can be read off a bucket."""


def new_registry() -> CollectorRegistry:
    """A registry with the metrics of process, platform, garbage collector, certificates, spans."""
    disable_created_metrics()  # a second series for every counter, which nobody reads
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(CertificateCollector())
    registry.register(SpanCollector())
    return registry


class HttpMetrics:
    """The two HTTP metrics; `route` is the template, never the path, of which there is no end."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "http_requests",
            "HTTP requests answered.",
            ["method", "route", "status"],
            registry=registry,
        )
        self.duration = Histogram(
            "http_request_duration_seconds",
            "Time from the request's arrival to the end of its response.",
            ["method", "route"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )

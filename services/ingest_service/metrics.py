"""The ingest service's Prometheus metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.shared.runtime.metrics import LATENCY_BUCKETS

_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

CLOSED_FOR = ("queue", "memory", "unknown")
"""Why nothing is let in: too many entries, too little memory, or Redis did not say."""
REFUSED_FOR = (*CLOSED_FOR, "fuse", "unavailable")
"""The fuse is the script's own limit, behind the gate's; unavailable is a call that failed."""
SOURCES = ("pending", "local", "shared", "database", "none")


class IngestMetrics:
    """All metrics of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.documents = Counter(
            "ingest_documents_accepted",
            "Documents that are in the stream for good.",
            registry=registry,
        )
        self.refused = Counter(
            "ingest_requests_refused",
            "Requests that were answered 503: queue, memory or unknown by the gate before anything"
            " was sent, fuse by the script, unavailable when the script could not be asked.",
            ["reason"],
            registry=registry,
        )
        self.call_documents = Histogram(
            "ingest_batch_documents",
            "Documents per call of the script.",
            buckets=_SIZES,
            registry=registry,
        )
        self.call_requests = Histogram(
            "ingest_batch_requests",
            "Requests that shared a call of the script.",
            buckets=_SIZES,
            registry=registry,
        )
        self.call_seconds = Histogram(
            "ingest_script_duration_seconds",
            "Time of a call of the script, failed ones included.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.queue = Gauge(
            "ingest_stream_entries",
            "Documents that are accepted and not in the database yet.",
            registry=registry,
        )
        self.lag = Gauge(
            "ingest_stream_lag", "Of these, those that no writer has taken yet.", registry=registry
        )
        self.pending = Gauge(
            "ingest_stream_pending", "Of these, those that a writer has in hand.", registry=registry
        )
        self.memory = Gauge(
            "ingest_stream_memory_bytes", "What the stream's server uses.", registry=registry
        )
        self.closed = Gauge(
            "ingest_admission_closed",
            "1 for each reason for which nothing is let in: queue, memory, unknown.",
            ["reason"],
            registry=registry,
        )
        self.reads = Counter(
            "ingest_reads",
            "Documents read, by where they were found: pending (accepted, or stored a moment ago),"
            " local or shared cache, database, none.",
            ["source"],
            registry=registry,
        )
        self.cache_errors = Counter(
            "ingest_cache_errors",
            "Operations of the shared cache that failed.",
            ["operation"],
            registry=registry,
        )
        for reason in CLOSED_FOR:
            self.closed.labels(reason)
        for reason in REFUSED_FOR:
            self.refused.labels(reason)
        for source in SOURCES:
            self.reads.labels(source)

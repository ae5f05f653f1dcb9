"""The writer's Prometheus metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.shared.runtime.metrics import LATENCY_BUCKETS
from services.stream_writer.stream import Backlog

_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class WriterMetrics:
    """All metrics of one writer; gauges over the stream are the same in every writer."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, registry=registry)

        def counter(name: str, text: str) -> Counter:
            return Counter(name, text, registry=registry)

        self.documents = Counter(
            "writer_documents",
            "Entries settled by outcome: written, superseded by a newer one or written before,"
            " dead_letter.",
            ["outcome"],
            registry=registry,
        )
        self.commits = counter("writer_commits", "Transactions committed.")
        self.batch_size = Histogram(
            "writer_batch_size", "Entries per batch.", buckets=_SIZES, registry=registry
        )
        self.write_duration = Histogram(
            "writer_write_duration_seconds",
            "Time from a batch's turn to commit until its entries are settled.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.document_age = Histogram(
            "writer_document_age_seconds",
            "Time from an entry's acceptance until it is stored (two machines' clocks).",
            buckets=(*LATENCY_BUCKETS, 30.0, 60.0, 300.0),
            registry=registry,
        )
        self.token_wait = Histogram(
            "writer_token_wait_seconds",
            "Time that a batch waits for its turn among the commits of all writers.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.retries = Counter(
            "writer_retries",
            "Tries that failed and are repeated, by what failed.",
            ["what"],
            registry=registry,
        )
        self.claimed = counter(
            "writer_entries_claimed", "Entries taken over from readers that are gone."
        )
        self.length = gauge("stream_entries", "Entries accepted and not settled yet.")
        self.lag = gauge("stream_lag_entries", "Of these, entries that no writer has in hand.")
        self.pending = gauge("stream_pending_entries", "Of these, entries that a writer has.")
        self.oldest = gauge("stream_oldest_entry_age_seconds", "Age of the oldest entry.")
        self.dead = gauge("stream_dead_letters", "Entries that can never be stored.")
        for outcome in ("written", "superseded", "dead_letter"):
            self.documents.labels(outcome)

    def show(self, backlog: Backlog) -> None:
        """Put the gauges to what was measured."""
        self.length.set(backlog.length)
        self.lag.set(backlog.lag)
        self.pending.set(backlog.pending)
        self.oldest.set(backlog.oldest_seconds)
        self.dead.set(backlog.dead)

"""The relay's Prometheus metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.shared.runtime.metrics import LATENCY_BUCKETS

_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class RelayMetrics:
    """All metrics of one relay; gauges over the outbox are the same in every relay of it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def stage(name: str, text: str) -> Histogram:
            return Histogram(name, text, buckets=LATENCY_BUCKETS, registry=registry)

        self.oldest_age = Gauge(
            "outbox_oldest_unsent_age_seconds",
            "Age of the oldest event that waits to be published, parked keys aside.",
            registry=registry,
        )
        self.unsent = Gauge(
            "outbox_unsent_events",
            "Events that wait to be published, parked keys aside; counted up to 100,000.",
            registry=registry,
        )
        self.parked_keys = Gauge(
            "outbox_parked_keys",
            "Keys set aside because one of their events cannot be published.",
            registry=registry,
        )
        self.lanes_leased = Gauge(
            "outbox_lanes_leased", "Lanes this relay has a lease on.", registry=registry
        )
        self.partitions_kept = Gauge(
            "outbox_partitions_kept",
            "Day partitions past retention that are kept because they hold unsent events.",
            registry=registry,
        )
        self.sick_partitions = Gauge(
            "outbox_sick_partitions",
            "Partitions that take nothing; their events wait and others go around them.",
            registry=registry,
        )
        self.claim_duration = stage("outbox_claim_duration_seconds", "Time to claim a batch.")
        self.publish_duration = stage(
            "outbox_publish_duration_seconds", "Time until every send of a batch is answered."
        )
        self.mark_duration = stage("outbox_mark_duration_seconds", "Time to mark a batch.")
        self.commit_to_ack = stage(
            "outbox_commit_to_ack_seconds",
            "Time from an event's creation to Kafka's acknowledgement (two machines' clocks).",
        )
        self.batch_size = Histogram(
            "outbox_batch_size", "Events per claimed batch.", buckets=_SIZES, registry=registry
        )
        self.published = Counter(
            "outbox_events_published",
            "Events that Kafka acknowledged and the outbox has marked.",
            ["event_type"],
            registry=registry,
        )
        self.failures = Counter(
            "outbox_publish_failures",
            "Sends that were not acknowledged, by kind.",
            ["kind"],
            registry=registry,
        )
        self.repeats = Counter(
            "outbox_repeated_sends",
            "Events Kafka acknowledged that are sent again to keep the order of their key.",
            registry=registry,
        )
        self.lost_marks = Counter(
            "outbox_lost_lease_marks",
            "Events published under a lease that was lost before they were marked; sent again.",
            registry=registry,
        )
        self.parked = Counter("outbox_events_parked", "Events recorded as dead.", registry=registry)
        self.lease_changes = Counter(
            "outbox_lease_changes",
            "Lanes acquired, released, or lost to another relay.",
            ["change"],
            registry=registry,
        )
        self.producers = Counter(
            "outbox_producers_created",
            "Kafka producers made; more than one means that an earlier one had to be replaced.",
            registry=registry,
        )

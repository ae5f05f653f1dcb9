"""What every consuming service tells Prometheus about its place in the group."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class ConsumerMetrics:
    """Metrics of one member of a consumer group, whatever it does with the messages."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.consumed = Counter(
            "kafka_consumer_messages_consumed",
            "Messages whose handling is over, dead letters included.",
            ["topic"],
            registry=registry,
        )
        self.dead_letters = Counter(
            "kafka_consumer_dead_letters",
            "Messages moved to the dead-letter topic.",
            ["topic"],
            registry=registry,
        )
        self.rebalances = Counter(
            "kafka_consumer_rebalances",
            "Changes of this member's partitions: assigned, revoked, lost.",
            ["kind"],
            registry=registry,
        )
        self.assigned = Gauge(
            "kafka_consumer_assigned_partitions",
            "Partitions this member has; none for long, and the group has no more than members.",
            registry=registry,
        )
        self.stalls = Counter(
            "kafka_consumer_stalls",
            "Clients replaced because they gave nothing while their partitions went on.",
            registry=registry,
        )
        self.commit_failures = Counter(
            "kafka_consumer_offset_commit_failures",
            "Offset commits that failed; the messages come again and are dropped as duplicates.",
            registry=registry,
        )
        self.retries = Counter(
            "kafka_consumer_batch_retries",
            "Repeated tries of a batch while a server was away.",
            registry=registry,
        )
        self.lag = Gauge(
            "kafka_consumer_lag",
            "Messages between this member's position and the partition's end.",
            ["topic", "partition"],
            registry=registry,
        )

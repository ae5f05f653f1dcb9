"""Brokers, and what becomes of their messages."""

from collections.abc import Mapping
from typing import Final

from infra.monitoring.alerts.quorum import NO_CONTROLLER
from infra.monitoring.forms import Alert, Case, Group, Implied, Said, Severity, series

_WORKER: Final = {"job": "event-worker", "topic": "resource.created"}


def _lag(*by_partition: str) -> Mapping[str, str]:
    return {
        series("kafka_consumer_lag", **_WORKER, partition=str(number)): values
        for number, values in enumerate(by_partition)
    }


def _consumed(values: str) -> Mapping[str, str]:
    return {series("kafka_consumer_messages_consumed_total", **_WORKER): values}


def _new(counter: str) -> str:
    """How many came in a quarter of an hour, the first of a new series included."""
    return (
        f"sum by (job) (increase({counter}[15m])) > 0"
        f" or sum by (job) ({counter} unless max_over_time({counter}[1h] offset 15m)) > 0"
    )


def _of_brokers(
    name: str,
    metric: str,
    *,
    summary: str,
    description: str,
    severity: Severity,
    pending: str,
) -> Alert:
    """Where any of this at any broker is too much."""

    def at(first: int, second: int) -> Mapping[str, str]:
        return {
            series(metric, job="kafka", pod="kafka-0"): f"{first}x20",
            series(metric, job="kafka", pod="kafka-1"): f"{second}x20",
        }

    return Alert(
        name,
        f"max by (job) ({metric}) > 0",
        severity=severity,
        layer="server",
        owner="data",
        pending=pending,
        lingers="5m" if severity == "page" else "0s",
        summary=f"{{{{ $labels.job }}}}: {{{{ $value }}}} {summary}",
        description=description,
        implied=(Implied("ServerDown"),),
        cases=(
            Case(at(0, 2), "17m", (Said({"job": "kafka"}, f"kafka: 2 {summary}"),)),
            Case(at(0, 0), "17m"),
        ),
    )


GROUP: Final = Group(
    "kafka",
    (
        NO_CONTROLLER,
        _of_brokers(
            "KafkaPartitionsOffline",
            "kafka_controller_kafkacontroller_offlinepartitionscount",
            summary="partitions have no leader",
            description="Nothing gets in or out of them until a replica in sync is back.",
            severity="page",
            pending="1m",
        ),
        _of_brokers(
            "KafkaBelowMinInSync",
            "kafka_server_replicamanager_underminisrpartitioncount",
            summary="partitions have too few replicas in sync",
            description="They take no message from who asks for all replicas, as all do here.",
            severity="page",
            pending="2m",
        ),
        _of_brokers(
            "KafkaUnderReplicated",
            "kafka_server_replicamanager_underreplicatedpartitions",
            summary="partitions lack a replica",
            description="All works, with less in reserve: a broker is away or falls behind.",
            severity="ticket",
            pending="15m",
        ),
        Alert(
            "KafkaConsumerLag",
            "sum by (job, topic) (kafka_consumer_lag) > 10000",
            severity="ticket",  # how late it makes things is for the freshness objectives to say
            layer="symptom",
            owner="services",
            pending="5m",
            summary="{{ $labels.job }}: {{ $value }} messages of {{ $labels.topic }} wait",
            description=(
                "For five minutes more than 10,000 messages have waited: {{ $labels.job }} does not"
                " keep up with who produces them."
            ),
            implied=(Implied("FreshnessBudgetBurns"), Implied("ConsumerStuck")),
            cases=(
                Case(
                    _lag("6000x9", "4001x9"),
                    "6m",
                    (Said(_WORKER, "event-worker: 10001 messages of resource.created wait"),),
                ),
                Case(_lag("6000x9", "4000x9"), "6m"),
            ),
        ),
        Alert(
            "ConsumerStuck",
            "sum by (job) (kafka_consumer_lag) > 0"
            " unless sum by (job) (rate(kafka_consumer_messages_consumed_total[5m])) > 0",
            severity="page",
            layer="symptom",
            owner="services",
            pending="5m",
            summary="{{ $labels.job }}: {{ $value }} messages wait and none is consumed",
            description=(
                "{{ $labels.job }} has finished nothing for ten minutes although there is work: its"
                " database refuses, its partitions have nobody, or it hangs."
            ),
            cases=(
                Case(
                    {**_lag("7x20"), **_consumed("9x20")},
                    "10m",
                    (
                        Said(
                            {"job": "event-worker"},
                            "event-worker: 7 messages wait and none is consumed",
                        ),
                    ),
                ),
                # It never finished any since it started, so there is no counter.
                Case(
                    _lag("7x20"),
                    "10m",
                    (
                        Said(
                            {"job": "event-worker"},
                            "event-worker: 7 messages wait and none is consumed",
                        ),
                    ),
                ),
                Case({**_lag("7x20"), **_consumed("9+1x20")}, "10m"),
                Case({**_lag("0x20"), **_consumed("9x20")}, "10m"),
            ),
        ),
        Alert(
            "DeadLetters",
            f"{_new('kafka_consumer_dead_letters_total')}"
            f" or {_new('async_writer_points_dead_total')}",
            severity="ticket",
            layer="symptom",
            owner="services",
            summary="{{ $labels.job }}: {{ $value | humanize }} messages were set aside",
            description=(
                "Within a quarter of an hour {{ $labels.job }} met messages that it cannot process"
                " and put them into the dead-letter topic, which forgets after its retention."
            ),
            cases=(
                Case(
                    {series("kafka_consumer_dead_letters_total", **_WORKER): "_x18 2x4"},
                    "20m",
                    (Said({"job": "event-worker"}, "event-worker: 2 messages were set aside"),),
                ),
                Case(
                    {series("async_writer_points_dead_total", job="async-writer"): "0x17 3x4"},
                    "20m",
                    (Said({"job": "async-writer"}, "async-writer: 3 messages were set aside"),),
                ),
                Case(
                    {
                        series("kafka_consumer_dead_letters_total", **_WORKER): "2x40",
                        series("async_writer_points_dead_total", job="async-writer"): "0x40",
                    },
                    "35m",
                ),
            ),
        ),
        Alert(
            "EventsOverdue",
            "sum by (job) (inbox_held_events_overdue) > 0",
            severity="ticket",
            layer="symptom",
            owner="services",
            pending="10m",
            summary="{{ $labels.job }}: {{ $value }} events wait for one that does not come",
            description=(
                "Each is held back because an earlier event of its resource, or of that one's"
                " tasks, never came. Unless there is evidence that it will not come they wait."
            ),
            cases=(
                Case(
                    {
                        series("inbox_held_events_overdue", job="event-worker", pod="a"): "1x15",
                        series("inbox_held_events_overdue", job="event-worker", pod="b"): "2x15",
                    },
                    "12m",
                    (
                        Said(
                            {"job": "event-worker"},
                            "event-worker: 3 events wait for one that does not come",
                        ),
                    ),
                ),
                Case(
                    {series("inbox_held_events_overdue", job="event-worker", pod="a"): "0x15"},
                    "12m",
                ),
            ),
        ),
    ),
)

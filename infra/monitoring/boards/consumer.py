"""A service's place in its consumer group, as all of them tell it."""

from infra.monitoring.boards.board import WINDOW, Panel, Query, Row, Threshold, Unit
from infra.monitoring.boards.promql import rate, series, total

BEHIND = 10_000
"""Messages from which on there is an alert."""


def row(job: str) -> Row:
    def counted(metric: str, legend: str, by: tuple[str, ...] = ()) -> Query:
        return Query(rate(metric, by, job=job), legend)

    return Row(
        "Its place in the group",
        (
            Panel(
                "Behind, by topic",
                Unit.COUNT,
                (Query(total(series("kafka_consumer_lag", job=job), ("topic",)), "{{topic}}"),),
                "Messages between what is handled and the end of the log.",
                thresholds=(Threshold(BEHIND, "critical"),),
            ),
            Panel(
                "Messages by topic",
                Unit.PER_SECOND,
                (counted("kafka_consumer_messages_consumed_total", "{{topic}}", ("topic",)),),
                "Whose handling is over, dead letters included.",
                kind="areas",
                quiet="no message has come since it started",
            ),
            Panel(
                "Partitions, by pod",
                Unit.COUNT,
                (Query(series("kafka_consumer_assigned_partitions", job=job), "{{pod}}"),),
                "Who has none for long is one member too many, or was not let in.",
            ),
            Panel(
                "Trouble",
                Unit.PER_SECOND,
                (
                    counted("kafka_consumer_batch_retries_total", "batches tried again"),
                    counted("kafka_consumer_offset_commit_failures_total", "commits failed"),
                    counted("kafka_consumer_stalls_total", "clients replaced"),
                    counted("kafka_consumer_dead_letters_total", "dead letters"),
                ),
                "Each is repaired by itself; what does not end is worth a look.",
                width=6,
                quiet="nothing has gone wrong since it started",
            ),
            Panel(
                "Rebalances",
                Unit.COUNT,
                (
                    Query(
                        total(
                            f"increase({series('kafka_consumer_rebalances_total', job=job)}"
                            f"[{WINDOW}])",
                            ("kind",),
                        ),
                        "{{kind}}",
                    ),
                ),
                "Partitions handed on, as in every rollout; `lost` was not asked for.",
                width=6,
                quiet="no partition has moved since it started",
            ),
        ),
    )

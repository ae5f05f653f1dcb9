"""The board of the outboxes: events on their way from a database into Kafka, and of who stores
what came of them."""

from infra.monitoring.boards import shared
from infra.monitoring.boards.board import Board, Panel, Query, Row, Threshold, Unit
from infra.monitoring.boards.promql import quantile, rate, total

_AIMED_AT = 0.99
"""The share of events for which there is a limit."""


def board() -> Board:
    return Board(
        slug="outbox",
        title="Outbox",
        explains="Events from commit to Kafka, and from Kafka to their one effect.",
        rows=(_waiting(), _speed(), _relays(), _effects()),
    )


def _waiting() -> Row:
    return Row(
        "What waits",
        (
            Panel(
                "Oldest event",
                Unit.SECONDS,
                (Query("max by (job) (outbox_oldest_unsent_age_seconds)", "{{job}}"),),
                "Age of the oldest event that waits to be published, parked keys aside.",
                thresholds=(Threshold(30, "warning"), Threshold(300, "critical")),
            ),
            Panel(
                "Events that wait",
                Unit.COUNT,
                (Query("max by (job) (outbox_unsent_events)", "{{job}}"),),
                "Parked keys aside; counted up to 100,000.",
            ),
            Panel(
                "Set aside, or around",
                Unit.COUNT,
                (
                    Query("max by (job) (outbox_parked_keys)", "{{job}}, keys parked"),
                    Query("max by (job) (outbox_sick_partitions)", "{{job}}, sick partitions"),
                    Query("max by (job) (outbox_partitions_kept)", "{{job}}, old days kept"),
                ),
                "Keys of which an event cannot be published, partitions of Kafka that take nothing,"
                " and days that are kept past their time for events that still wait.",
                thresholds=(Threshold(1, "warning"),),
            ),
        ),
    )


def _speed() -> Row:
    return Row(
        "How fast",
        (
            Panel(
                "Commit to acknowledgement",
                Unit.SECONDS,
                tuple(
                    Query(
                        quantile(share, "outbox_commit_to_ack_seconds", ("job",)),
                        f"{{{{job}}}}, p{100 * share:g}",
                        held=share == _AIMED_AT,
                    )
                    for share in (0.5, _AIMED_AT)
                ),
                "From an event's creation until Kafka has it; 250 ms is aimed at for the p99.",
                thresholds=(Threshold(0.25, "warning"),),
                quiet="no event was published since the relay started",
            ),
            Panel(
                "Published",
                Unit.PER_SECOND,
                (Query(rate("outbox_events_published_total", ("event_type",)), "{{event_type}}"),),
                "Acknowledged by Kafka and marked, by type; each type is of one outbox.",
                kind="areas",
                quiet="no event was published since the relay started",
            ),
            Panel(
                "A batch, p95 by stage",
                Unit.SECONDS,
                tuple(
                    Query(
                        quantile(0.95, f"outbox_{stage}_duration_seconds", ("job",)),
                        f"{{{{job}}}}, {stage}",
                    )
                    for stage in ("claim", "publish", "mark")
                ),
                "Where the time of a batch goes.",
                quiet="no event was published since the relay started",
            ),
        ),
    )


def _relays() -> Row:
    def counted(metric: str, legend: str, *by: str) -> Query:
        return Query(rate(metric, ("job", *by)), f"{{{{job}}}}, {legend}")

    changes = ("job", "change")
    return Row(
        "Relays",
        (
            Panel(
                "Lanes by relay",
                Unit.COUNT,
                (Query(total("outbox_lanes_leased", ("pod",)), "{{pod}}"),),
                "Each lane is one relay's; all together they are 64 for each outbox.",
                kind="areas",
            ),
            Panel(
                "Leases",
                Unit.PER_SECOND,
                (Query(rate("outbox_lease_changes_total", changes), "{{job}}, {{change}}"),),
                "Lanes that change hands; `lost` means that a relay was too slow or gone.",
                quiet="no lane has changed hands",
            ),
            Panel(
                "Trouble",
                Unit.PER_SECOND,
                (
                    counted("outbox_publish_failures_total", "not sent: {{kind}}", "kind"),
                    counted("outbox_repeated_sends_total", "sent again for order"),
                    counted("outbox_lost_lease_marks_total", "sent again after a lost lease"),
                    counted("outbox_events_parked_total", "recorded as dead"),
                ),
                "Each is repaired by itself, but for what is recorded as dead.",
            ),
        ),
    )


def _effects() -> Row:
    return Row(
        "Effects",
        (
            Panel(
                "Age of events at their effect",
                Unit.SECONDS,
                tuple(
                    Query(
                        quantile(share, "inbox_event_age_seconds", ("job",)),
                        f"{{{{job}}}}, p{100 * share:g}",
                        held=False,
                    )
                    for share in (0.5, 0.95)
                ),
                "From an event's making until its row is stored, or its task is made.",
                quiet="no event has come since who takes them started",
            ),
            Panel(
                "Outcomes",
                Unit.PER_SECOND,
                tuple(
                    Query(rate(metric, ("job", "outcome")), "{{job}}, {{outcome}}")
                    for metric in (
                        "tasks_messages_processed_total",
                        "worker_messages_processed_total",
                    )
                ),
                "Duplicates and late ones are as they should be; dead letters are not.",
                kind="areas",
                quiet="no event has come since who takes them started",
            ),
            Panel(
                "Held back for order",
                Unit.COUNT,
                (
                    Query(total("inbox_held_events", ("job",)), "{{job}}, held"),
                    Query(total("inbox_held_events_overdue", ("job",)), "{{job}}, overdue"),
                ),
                "Events that wait for an earlier one, and how many of them past the deadline.",
            ),
            shared.restarts(pod="~(outbox-relay|event-worker|grpc-service)-.*"),
            Panel(
                "Rounds of their databases",
                Unit.PER_SECOND,
                tuple(
                    Query(
                        rate(metric, ("job", "operation", "outcome")),
                        "{{job}}, {{operation}}, {{outcome}}",
                    )
                    for metric in ("tasks_db_operations_total", "worker_db_operations_total")
                ),
                "Transactions by what for, and how they ended.",
                quiet="there has been nothing to store",
            ),
            Panel(
                "Gaps given up",
                Unit.PER_SECOND,
                (Query(rate("inbox_gaps_released_total", ("job",)), "{{job}}"),),
                "Events that never came, on evidence that they will not.",
            ),
        ),
    )

"""The board that is looked at first: what was promised, what is asked for, what waits."""

from infra.monitoring.boards import calls, shared
from infra.monitoring.boards.board import Board, Panel, Query, Row, Threshold, Unit
from infra.monitoring.boards.consumer import BEHIND
from infra.monitoring.boards.promql import or_zero, quantile, rate, total
from infra.monitoring.boards.service import ERRORS, PROBES, SLOW_SECONDS, error_ratio

_DAY = 86_400
BUDGET = "slo:error_budget_remaining:ratio"
ERRORS_OF_AN_HOUR = "slo:sli_error:ratio_rate1h"
OF_SLO = "{{slo}}"
"""What a series of one objective is called."""


def board() -> Board:
    return Board(
        slug="overview",
        title="Overview",
        explains="Whether the platform keeps its promises, and where to look if not.",
        rows=(_now(), _promises(), _traffic(), _waiting(), _safety()),
    )


def _stat(title: str, unit: Unit, expr: str, explains: str, *limits: Threshold) -> Panel:
    return Panel(
        title, unit, (Query(expr, title.lower()),), explains, "stat", thresholds=limits, width=2
    )


def _now() -> Row:
    firing = 'ALERTS{alertstate="firing",severity!="none"}'
    return Row(
        "Now",
        (
            _stat(
                "Alerts",
                Unit.COUNT,
                or_zero(f"count({firing})"),
                "Pages and tickets that fire.",
                Threshold(1, "warning"),
            ),
            shared.targets_down(),
            _stat(
                "Pods not ready",
                Unit.COUNT,
                or_zero("count(service_ready == 0)"),
                "Pods of services that say they cannot serve.",
                Threshold(1, "warning"),
            ),
            _stat(
                "Requests",
                Unit.PER_SECOND,
                rate("http_requests_total", route=f"!~{PROBES}"),
                "Of clients, to all services.",
            ),
            _stat(
                "Failed",
                Unit.RATIO,
                error_ratio(),
                "Share of all requests that was answered with 5xx.",
                Threshold(0.01, "warning"),
                Threshold(ERRORS, "critical"),
            ),
            _stat(
                "Least budget",
                Unit.RATIO,
                f"min({BUDGET})",
                "Of all error budgets the one that is used up most.",
                Threshold(0.25, "warning", below=True),
                Threshold(0, "critical", below=True),
            ),
        ),
    )


def _promises() -> Row:
    return Row(
        "Promises",
        (
            Panel(
                "Error budget left",
                Unit.RATIO,
                (Query(BUDGET, OF_SLO),),
                "Of what each SLO allows within its period. Below 0 the promise is broken.",
                kind="bars",
                thresholds=(
                    Threshold(0.25, "warning", below=True),
                    Threshold(0, "critical", below=True),
                ),
                width=6,
                most=1,
            ),
            Panel(
                "Bad events, last hour",
                Unit.RATIO,
                (Query(ERRORS_OF_AN_HOUR, OF_SLO),),
                "Share of what each SLO counts that was not good; what it burns budgets with.",
                width=6,
            ),
        ),
    )


def _traffic() -> Row:
    return Row(
        "What is asked",
        (
            Panel(
                "Requests by service",
                Unit.PER_SECOND,
                (
                    Query(rate("http_requests_total", ("job",), route=f"!~{PROBES}"), "{{job}}"),
                    Query(
                        rate(calls.HANDLED, ("job",), grpc_service=calls.CLIENTS),
                        "{{job}}, by gRPC",
                    ),
                ),
                "Of clients; probes and scrapes aside.",
                kind="areas",
            ),
            Panel(
                "Failed by service",
                Unit.RATIO,
                (
                    Query(error_ratio(("job",)), "{{job}}"),
                    Query(calls.fault_ratio(("job",)), "{{job}}, by gRPC"),
                ),
                "Share that ends with a fault of ours; above 5 % for five minutes an alert tells.",
                thresholds=(Threshold(ERRORS, "critical"),),
            ),
            Panel(
                "Latency by service, p95",
                Unit.SECONDS,
                (
                    Query(
                        quantile(
                            0.95,
                            "http_request_duration_seconds",
                            ("job",),
                            route=f"!~{PROBES}",
                        ),
                        "{{job}}",
                    ),
                    Query(
                        quantile(
                            0.95,
                            calls.LASTING,
                            ("job",),
                            grpc_service=calls.CLIENTS,
                            grpc_type=calls.ONCE,
                        ),
                        "{{job}}, by gRPC",
                    ),
                ),
                "Above 500 ms there is an alert; what a service promises is on its own board.",
                thresholds=(Threshold(SLOW_SECONDS, "warning"),),
            ),
        ),
    )


def _waiting() -> Row:
    return Row(
        "What waits",
        (
            Panel(
                "Oldest that waits",
                Unit.SECONDS,
                (
                    Query("max by (job) (outbox_oldest_unsent_age_seconds)", "{{job}}, event"),
                    Query("max(stream_oldest_entry_age_seconds)", "stream, document"),
                    # Some of these take their time, and have an alert of their own.
                    Query(
                        "max by (job) (tasks_oldest_pending_age_seconds)",
                        "{{job}}, task",
                        held=False,
                    ),
                ),
                "Age of the oldest event in an outbox, of the oldest document in the stream, and of"
                " the oldest task without an end.",
                thresholds=(Threshold(30, "warning"), Threshold(300, "critical")),
            ),
            Panel(
                "Consumers behind",
                Unit.COUNT,
                (Query(total("kafka_consumer_lag", ("job",)), "{{job}}"),),
                "Messages in Kafka that are not handled yet.",
                thresholds=(Threshold(BEHIND, "critical"),),
            ),
            Panel(
                "Set aside",
                Unit.COUNT,
                (
                    Query("max(stream_dead_letters)", "documents"),
                    Query("max by (job) (outbox_parked_keys)", "{{job}}, keys"),
                    Query(
                        total("inbox_held_events_overdue", ("job",)),
                        "{{job}}, events held for too long",
                    ),
                    # Those are a counter, which looking into them does not lower: no limit for it.
                    Query(
                        total("kafka_consumer_dead_letters_total", ("job",)),
                        "{{job}}, dead letters since its start",
                        held=False,
                    ),
                ),
                "What goes no further until somebody looks at it.",
                thresholds=(Threshold(1, "warning"),),
            ),
        ),
    )


def _safety() -> Row:
    proven = "max by (database) (backup_newest_proven_timestamp_seconds)"
    expiry = "min by (certificate) (tls_certificate_expiry_timestamp_seconds)"
    return Row(
        "What would be lost",
        (
            Panel(
                "Newest proven backup",
                Unit.SECONDS,
                (Query(f"time() - {proven}", "{{database}}"),),
                "Age of the data in the newest backup that a drill has restored.",
                kind="bars",
                thresholds=(Threshold(1.5 * _DAY, "warning"), Threshold(2 * _DAY, "critical")),
                quiet="no backup is proven yet; the first drill runs at night",
            ),
            Panel(
                "Behind the log of changes",
                Unit.SECONDS,
                (Query("max by (database) (backup_archive_lag_seconds)", "{{database}}"),),
                "What would be missing if the server's volume were lost now.",
                thresholds=(Threshold(60, "warning"), Threshold(300, "critical")),
            ),
            Panel(
                "Certificates last for",
                Unit.DAYS,
                (Query(f"({expiry} - time()) / {_DAY}", "{{certificate}}"),),
                "By whom they are shown; `make up` renews what has less than 90 days left.",
                kind="bars",
                most=365,
                thresholds=(
                    Threshold(60, "warning", below=True),
                    Threshold(14, "critical", below=True),
                ),
            ),
        ),
    )

"""Calls by gRPC, as all servers of ours tell of them."""

from infra.monitoring.boards.board import WINDOW, Panel, Query, Row, Threshold, Unit
from infra.monitoring.boards.promql import quantile, quantiles, rate, series, total
from infra.monitoring.indicators import FOR_TOOLS, failed_calls

HANDLED = "grpc_server_handled_total"
LASTING = "grpc_server_handling_seconds"
CLIENTS = f"!~{FOR_TOOLS}"
"""Of services those that clients call."""
ONCE = "!~.+_stream"
"""Of types those with one answer."""


def fault_ratio(by: tuple[str, ...] = (), **labels: str) -> str:
    """Share of calls that the service failed; 0 where none failed, nothing without calls."""
    every = rate(HANDLED, by, grpc_service=CLIENTS, **labels)
    matchers = ", ".join(f'{name}="{value}"' for name, value in labels.items())
    failed = total(failed_calls(WINDOW, matchers), by)
    return f"(({failed}) or 0 * ({every})) / ({every})"


def row(job: str, slow: tuple[Threshold, ...]) -> Row:
    """`slow`: from when on a p95 is an alert, and breaks what the service promises."""
    clients = {"job": job, "grpc_service": CLIENTS}
    return Row(
        "Calls",
        (
            Panel(
                "Calls by status",
                Unit.PER_SECOND,
                (Query(rate(HANDLED, ("grpc_code",), **clients), "{{grpc_code}}"),),
                "Calls ended; UNKNOWN, INTERNAL, DATA_LOSS, UNAVAILABLE and DEADLINE_EXCEEDED are"
                " ours, but the latter two of streams, which end with them when all is well.",
                kind="areas",
                quiet="no call has ended since it started",
            ),
            Panel(
                "Latency",
                Unit.SECONDS,
                quantiles(LASTING, **clients, grpc_type=ONCE),
                "From a call's message to its answer, without what its client asked to wait.",
                thresholds=slow,
                quiet="no call has ended since it started",
            ),
            Panel(
                "Latency by method, p95",
                Unit.SECONDS,
                (
                    Query(
                        quantile(0.95, LASTING, ("grpc_method",), **clients, grpc_type=ONCE),
                        "{{grpc_method}}",
                    ),
                ),
                "Which of the calls is slow.",
                thresholds=slow,
                quiet="no call has ended since it started",
            ),
            Panel(
                "Calls begun, by method",
                Unit.PER_SECOND,
                (
                    Query(
                        rate("grpc_server_started_total", ("grpc_method",), **clients),
                        "{{grpc_method}}",
                    ),
                ),
                "A method begun and not ended is a stream, or stands still.",
                width=6,
            ),
            Panel(
                "In hand, by pod",
                Unit.COUNT,
                (
                    Query(total(series("grpc_server_in_flight", job=job), ("pod",)), "{{pod}}"),
                    Query(
                        total(series("grpc_server_streams", job=job), ("pod",)),
                        "{{pod}}, streams",
                    ),
                ),
                "Calls and streams at this moment; each pod takes a number of them, and no more.",
                width=6,
            ),
        ),
    )

"""The board of one service, by its record and what its package registers.

A metric that no panel here is about gets one of its own, so a new service has a whole board.
"""

from collections.abc import Iterable, Iterator

from infra.model.services import Service
from infra.monitoring.boards import calls, consumer, shared, tasks
from infra.monitoring.boards.board import Board, Panel, Query, Row, Threshold, Unit
from infra.monitoring.boards.own import panel_of
from infra.monitoring.boards.promql import (
    metric_names,
    or_zero,
    quantile,
    quantiles,
    rate,
    series,
    total,
)
from infra.monitoring.catalogue import registered
from infra.monitoring.indicators import Within
from infra.monitoring.slos import promised

PROBES = "/health|/ready|/metrics"
"""Asked every few seconds by the cluster; no client's request."""
SLOW_SECONDS = 0.5
"""p95 from which on there is an alert, whatever the service promises."""
ERRORS = 0.05
"""Share of requests from which on there is an alert."""
_ASIDE = ("process_", "python_")


def board(service: Service) -> Board:
    """Of what its package registers, in the order in which one would ask."""
    known, job = registered(service.package), service.name
    rows = [
        Row("Now", tuple(_now(known, job))),
        *([_http(job, _slow(service))] if "http_requests_total" in known else ()),
        *([calls.row(job, _slow(service))] if calls.HANDLED in known else ()),
        *([tasks.row(job)] if "tasks_pending" in known else ()),
        *([consumer.row(job)] if "kafka_consumer_lag" in known else ()),
    ]
    resources = Row("What it relies on", tuple(_resources(known, job)))
    asked = _names((*rows, resources))
    own = [
        panel_of(metric, service)
        for metric in known.values()
        if not asked & set(metric.series) and not metric.name.startswith(_ASIDE)
    ]
    return Board(
        slug=service.name,
        title=service.name,
        explains=f"{service.name}: what it is asked for, how it copes, and what it costs.",
        rows=(
            *rows,
            *([Row("Its own", tuple(own))] if own else ()),
            resources,
            shared.containers(service.name),
        ),
    )


def _names(rows: Iterable[Row]) -> frozenset[str]:
    queries = (query for row in rows for panel in row.panels for query in panel.queries)
    return frozenset(name for query in queries for name in metric_names(query.expr))


def error_ratio(by: tuple[str, ...] = (), **labels: str) -> str:
    """Share of requests that the service failed; 0 where none failed, nothing without requests."""
    every = rate("http_requests_total", by, route=f"!~{PROBES}", **labels)
    failed = rate("http_requests_total", by, route=f"!~{PROBES}", status="~5..", **labels)
    return f"(({failed}) or 0 * ({every})) / ({every})"


def _now(known: Iterable[str], job: str) -> Iterator[Panel]:
    yield Panel(
        "Pods up",
        Unit.COUNT,
        (Query(or_zero(total(series("up", job=job))), "up"),),
        "Pods that answer Prometheus.",
        kind="stat",
        thresholds=(Threshold(1, "critical", below=True),),
        width=2,
    )
    if "http_requests_total" in known:
        yield Panel(
            "Requests",
            Unit.PER_SECOND,
            (Query(rate("http_requests_total", job=job, route=f"!~{PROBES}"), "requests"),),
            "Of clients; probes and scrapes aside.",
            kind="stat",
            width=2,
        )
        yield Panel(
            "Failed",
            Unit.RATIO,
            (Query(error_ratio(job=job), "5xx"),),
            "Share of requests answered with 5xx.",
            kind="stat",
            thresholds=(Threshold(0.01, "warning"), Threshold(ERRORS, "critical")),
            width=2,
        )
    elif calls.HANDLED in known:
        clients = {"job": job, "grpc_service": calls.CLIENTS}
        yield Panel(
            "Calls",
            Unit.PER_SECOND,
            (Query(rate(calls.HANDLED, **clients), "calls"),),
            "Of clients, by gRPC; health and reflection aside.",
            kind="stat",
            width=2,
            quiet="no call has ended since it started",
        )
        yield Panel(
            "Failed",
            Unit.RATIO,
            (Query(calls.fault_ratio(job=job), "failed"),),
            "Share of calls that ended with a fault of the service.",
            kind="stat",
            thresholds=(Threshold(0.01, "warning"), Threshold(ERRORS, "critical")),
            width=2,
            quiet="no call has ended since it started",
        )
    elif "kafka_consumer_messages_consumed_total" in known:
        yield Panel(
            "Messages",
            Unit.PER_SECOND,
            (Query(rate("kafka_consumer_messages_consumed_total", job=job), "messages"),),
            "Whose handling is over.",
            kind="stat",
            width=2,
        )
        yield Panel(
            "Behind",
            Unit.COUNT,
            (Query(total(series("kafka_consumer_lag", job=job)), "messages"),),
            "Messages in the log that are not handled yet.",
            kind="stat",
            thresholds=(Threshold(consumer.BEHIND, "critical"),),
            width=2,
        )
    yield shared.ready(job)


def _slow(service: Service) -> tuple[Threshold, ...]:
    """From when on a p95 is an alert, and from when on it breaks what the service promises."""
    indicators = (promise.indicator for promise in promised(service))
    times = [i.seconds for i in indicators if isinstance(i, Within) and i.kind == "latency"]
    broken = min(times, default=SLOW_SECONDS)
    told = (Threshold(SLOW_SECONDS, "warning"),) if broken > SLOW_SECONDS else ()
    return (*told, Threshold(broken, "critical"))


def _http(job: str, slow: tuple[Threshold, ...]) -> Row:
    clients = {"job": job, "route": f"!~{PROBES}"}
    return Row(
        "Requests",
        (
            Panel(
                "Requests by status",
                Unit.PER_SECOND,
                (Query(rate("http_requests_total", ("status",), **clients), "{{status}}"),),
                "Answers by status; a 4xx is the client's doing, a 5xx ours.",
                kind="areas",
            ),
            Panel(
                "Latency",
                Unit.SECONDS,
                quantiles("http_request_duration_seconds", **clients),
                "From a request's arrival to the end of its response.",
                thresholds=slow,
            ),
            Panel(
                "Latency by route, p95",
                Unit.SECONDS,
                (
                    Query(
                        quantile(
                            0.95,
                            "http_request_duration_seconds",
                            ("method", "route"),
                            **clients,
                        ),
                        "{{method}} {{route}}",
                    ),
                ),
                "Which of the requests is slow.",
                thresholds=slow,
            ),
        ),
    )


def _resources(known: Iterable[str], job: str) -> Iterator[Panel]:
    if "db_pool_connections" in known:
        used = total(series("db_pool_connections", job=job, state="in_use"), ("database", "pod"))
        most = total(series("db_pool_connections", job=job, state="max"), ("database", "pod"))
        yield Panel(
            "Connections in use, of the pool",
            Unit.RATIO,
            (Query(f"{used} / {most}", "{{database}} {{pod}}"),),
            "A full pool makes requests wait for a connection.",
            thresholds=shared.POOL_FULL,
            most=1,
        )
    ends = series("tls_certificate_expiry_timestamp_seconds", job=job)
    yield Panel(
        "Certificates last for",
        Unit.DAYS,
        (
            Query(
                f"(min by (certificate) ({ends}) - time()) / 86400",
                "{{certificate}}",
            ),
        ),
        "Of the servers it talks to; `make up` renews what has less than 90 days left.",
        kind="bars",
        most=365,
        thresholds=(
            Threshold(60, "warning", below=True),
            Threshold(14, "critical", below=True),
        ),
    )
    yield Panel(
        "Open files, of the limit",
        Unit.RATIO,
        (
            Query(
                f"{series('process_open_fds', job=job)} / {series('process_max_fds', job=job)}",
                "{{pod}}",
            ),
        ),
        "Connections are files; at the limit nothing more is accepted.",
        thresholds=(Threshold(0.8, "warning"),),
        most=1,
    )

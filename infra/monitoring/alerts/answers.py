"""How requests, and calls by gRPC, are answered: the tickets beside the alerts of budgets."""

from collections.abc import Mapping
from typing import Final

from infra.monitoring.forms import Alert, Case, Implied, Said, series
from infra.monitoring.indicators import ANSWERED_ONCE, CALLS, CLIENTS, failed_calls

_OF_REQUESTS: Final = "http_request_duration_seconds_bucket"


def _requests(failed: int, of: int) -> Mapping[str, str]:
    here = {"job": "rest-service", "method": "GET", "route": "/"}
    return {
        series("http_requests_total", **here, status="200"): f"0+{of - failed}x20",
        series("http_requests_total", **here, status="500"): f"0+{failed}x20",
    }


def _calls(failed: int, of: int) -> Mapping[str, str]:
    here = {"job": "grpc-service", "grpc_service": "some.v1.Service", "grpc_type": "unary"}
    ended = {"OK": of - failed, "UNAVAILABLE": failed}
    name = "grpc_server_handled_total"
    return {series(name, **here, grpc_code=code): f"0+{n}x20" for code, n in ended.items()}


def _durations(half_a_second: int, name: str = _OF_REQUESTS, **here: str) -> Mapping[str, str]:
    """Of 100 requests a minute so many take no longer, and all no longer than a second."""
    here = here or {"job": "rest-service", "method": "GET", "route": "/"}
    buckets = {"0.5": half_a_second, "1.0": 100, "+Inf": 100}
    return {series(name, **here, le=le): f"0+{count}x20" for le, count in buckets.items()}


def _lasting(half_a_second: int, kind: str) -> Mapping[str, str]:
    """The same of calls by gRPC."""
    here = {"job": "grpc-service", "grpc_service": "some.v1.Service", "grpc_type": kind}
    return _durations(half_a_second, "grpc_server_handling_seconds_bucket", **here)


HIGH_ERROR_RATE: Final = Alert(
    "HighErrorRate",
    f'sum by (job) (rate(http_requests_total{{{CLIENTS}, status=~"5.."}}[5m])'
    f" or {failed_calls('5m')})"
    f" / sum by (job) (rate(http_requests_total{{{CLIENTS}}}[5m])"
    f" or rate(grpc_server_handled_total{{{CALLS}}}[5m])) > 0.05",
    severity="ticket",  # its budget's alert wakes, and sooner
    layer="symptom",
    owner="services",
    pending="5m",
    summary="{{ $labels.job }}: {{ $value | humanizePercentage }} of requests fail",
    description=(
        "For five minutes more than 5 % of the answers of {{ $labels.job }} were 5xx, or by"
        " gRPC faults of its own."
    ),
    implied=(Implied("AvailabilityBudgetBurns"),),
    cases=(
        Case(
            _requests(failed=6, of=100),
            "12m",
            (Said({"job": "rest-service"}, "rest-service: 6% of requests fail"),),
        ),
        Case(_requests(failed=4, of=100), "12m"),
        Case(
            _calls(failed=6, of=100),
            "12m",
            (Said({"job": "grpc-service"}, "grpc-service: 6% of requests fail"),),
        ),
        Case(_calls(failed=4, of=100), "12m"),
    ),
)

HIGH_LATENCY: Final = Alert(
    "HighLatency",
    "histogram_quantile(0.95, sum by (job, le)"
    f" (rate(http_request_duration_seconds_bucket{{{CLIENTS}}}[5m])"
    f" or rate(grpc_server_handling_seconds_bucket{{{ANSWERED_ONCE}}}[5m]))) > 0.5",
    severity="ticket",
    layer="symptom",
    owner="services",
    pending="5m",
    summary="{{ $labels.job }}: one request in 20 takes {{ $value | humanizeDuration }}",
    description=("For five minutes the 95th percentile of {{ $labels.job }} was above 500 ms."),
    implied=(Implied("LatencyBudgetBurns"),),
    cases=(
        Case(
            _durations(half_a_second=90),
            "12m",
            (
                Said(
                    {"job": "rest-service"},
                    "rest-service: one request in 20 takes 750ms",
                ),
            ),
        ),
        Case(_durations(half_a_second=96), "12m"),
        Case(
            _lasting(half_a_second=90, kind="unary"),
            "12m",
            (
                Said(
                    {"job": "grpc-service"},
                    "grpc-service: one request in 20 takes 750ms",
                ),
            ),
        ),
        Case(_lasting(half_a_second=0, kind="server_stream"), "12m"),
    ),
)

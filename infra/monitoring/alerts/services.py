"""What every service says of its requests, its work and its connections."""

from collections.abc import Mapping
from typing import Final

from infra.monitoring.alerts.answers import HIGH_ERROR_RATE, HIGH_LATENCY
from infra.monitoring.forms import (
    Alert,
    Case,
    Group,
    Implied,
    Recording,
    RecordingCase,
    Said,
    Sample,
    series,
)
from infra.monitoring.indicators import CALLS, CLIENTS

WORK: Final = (
    "grpc_server_handled_total",
    "http_requests_total",
    "kafka_consumer_messages_consumed_total",
    "outbox_events_published_total",
    "writer_documents_total",
)
"""What counts the work of a service; the sum of those it has."""


def _work(rate: str) -> Recording:
    """Per second, over that time."""
    of = {"http_requests_total": f"{{{CLIENTS}}}", "grpc_server_handled_total": f"{{{CALLS}}}"}
    parts = " or ".join(f"rate({name}{of.get(name, '')}[{rate}])" for name in WORK)
    return Recording(
        f"job:work:rate{rate}",
        f"sum by (job) ({parts})",
        cases=tuple(
            RecordingCase(
                {series(name, job="some"): "0+60x60"}, "60m", (Sample({"job": "some"}, 1),)
            )
            for name in WORK
        ),
    )


def _worked(before: int, now: int) -> Mapping[str, str]:
    """Requests a minute for an hour and a half, and for a quarter of an hour after it."""
    end = before * 90
    values = f"0+{before}x90 {end + now}+{now}x14"
    return {series("http_requests_total", job="rest-service", status="200"): values}


def _pool(in_use: int, most: int) -> Mapping[str, str]:
    of = {"job": "rest-service", "namespace": "apps", "pod": "p", "database": "restdb"}
    return {
        series("db_pool_connections", **of, state="in_use"): f"{in_use}x15",
        series("db_pool_connections", **of, state="max"): f"{most}x15",
    }


GROUP: Final = Group(
    "services",
    (
        _work("10m"),
        _work("1h"),
        HIGH_ERROR_RATE,
        HIGH_LATENCY,
        Alert(
            "LowThroughput",
            "job:work:rate10m < 0.5 * (job:work:rate1h offset 10m)"
            # Below one a second it is chance whether the next ten minutes have half of it.
            " and (job:work:rate1h offset 10m) > 1",
            severity="ticket",
            layer="symptom",
            owner="services",
            pending="5m",
            summary='{{ $labels.job }}: only {{ $value | printf "%.1f" }} done each second',
            description=(
                "{{ $labels.job }} has done less than half of what it did in the hour before."
                " Clients stay away, cannot reach it, or it is stuck."
            ),
            implied=(
                Implied("AvailabilityBudgetBurns"),
                Implied("FreshnessBudgetBurns"),
            ),
            cases=(
                Case(
                    _worked(before=120, now=54),
                    "105m",
                    (
                        Said(
                            {"job": "rest-service"},
                            "rest-service: only 0.9 done each second",
                        ),
                    ),
                ),
                Case(_worked(before=120, now=66), "105m"),
                Case(_worked(before=50, now=0), "105m"),
            ),
        ),
        Alert(
            "DatabaseConnections",
            'max by (job, namespace, pod, database) (db_pool_connections{state="in_use"})'
            ' / max by (job, namespace, pod, database) (db_pool_connections{state="max"}) > 0.8'
            # A pool of a few is there to be used up.
            ' and max by (job, namespace, pod, database) (db_pool_connections{state="max"}) >= 5',
            severity="ticket",
            layer="symptom",
            owner="services",
            pending="5m",
            summary=(
                "{{ $labels.pod }}: {{ $value | humanizePercentage }} of its connections to"
                " {{ $labels.database }} are in use"
            ),
            description=(
                "For five minutes more than 80 % of the pool were in use; at 100 % requests wait"
                " for a connection. The database is slow, or there is more work than pods."
            ),
            cases=(
                Case(
                    _pool(in_use=9, most=10),
                    "8m",
                    (
                        Said(
                            {
                                "job": "rest-service",
                                "namespace": "apps",
                                "pod": "p",
                                "database": "restdb",
                            },
                            "p: 90% of its connections to restdb are in use",
                        ),
                    ),
                ),
                Case(_pool(in_use=8, most=10), "8m"),
                Case(_pool(in_use=2, most=2), "8m"),
            ),
        ),
        Alert(
            "ServiceDown",
            'max by (job) (k8s_deployment_available{namespace="apps"}) == 0'
            ' or max by (job) (up{namespace="apps"}) == 0',
            severity="page",
            layer="service",
            owner="services",
            pending="2m",
            lingers="5m",
            summary="{{ $labels.job }}: no pod is ready",
            description=(
                "Not one pod of {{ $labels.job }} is ready, or none answers when it is asked for"
                " its metrics: what it does is not done at all."
            ),
            cases=(
                Case(
                    {
                        series("k8s_deployment_available", job="a", namespace="apps"): "0x5",
                        series("up", job="b", namespace="apps", pod="b-1"): "0x5",
                        series("up", job="b", namespace="apps", pod="b-2"): "0x5",
                    },
                    "3m",
                    (
                        Said({"job": "a"}, "a: no pod is ready"),
                        Said({"job": "b"}, "b: no pod is ready"),
                    ),
                ),
                Case(
                    {
                        series("k8s_deployment_available", job="a", namespace="apps"): "1x5",
                        series("up", job="b", namespace="apps", pod="b-1"): "0x5",
                        series("up", job="b", namespace="apps", pod="b-2"): "1x5",
                        series("up", job="c", namespace="data", pod="c-0"): "0x5",
                    },
                    "3m",
                ),
            ),
        ),
    ),
)

"""The servers that hold data: whether they answer, and who holds on to them."""

from typing import Final

from infra.model.records import Records
from infra.monitoring.forms import Alert, Case, Group, Said, series

_SAYS: Final = ("pg_up", "mysql_up", "redis_up")
"""What a server's exporter says of it. Its series carry the pod of the server that it speaks of."""


def group(records: Records) -> Group:
    """Rules of the records' servers."""
    kept = [server.name for server in records.servers if server.kept]
    caches = [server.name for server in records.servers if not server.kept]
    brokers = [server.name for server in records.servers if server.engine == "kafka"]
    return Group(
        "servers",
        (
            _server_down([name for name in kept if name not in brokers], brokers),
            *([_cache_down(caches)] if caches else []),
            _CONNECTIONS,
            _LONG_TRANSACTION,
        ),
    )


def _of(names: list[str]) -> str:
    """Series of each server itself: neither of a copy of it, nor of its archiver or controllers."""
    known = "|".join(names)
    return f'{{job=~"{known}", pod=~"({known})-[0-9]+"}}'


def _down(names: list[str]) -> str:
    """Which of these do not answer, by their exporters or, if those are away, by Kubernetes.

    An exporter that is away says nothing of its servers: with each of them ready only we are blind,
    which TargetDown tells. If nobody knows whether they are ready, they may be gone as well; but
    not in the first minutes of all, when those who would tell begin no sooner than the exporters.
    """
    of = _of(names)
    says = " or ".join(f"{name}{of}" for name in _SAYS)
    ready = f'k8s_statefulset_ready_pods{{namespace="data", job=~"{"|".join(names)}"}} > 0'
    away = f"(min by (job) (up{of}) == 0 and on (job) up{of} offset 5m)"
    return f"min by (job) ({says}) == 0 or {away} unless on (job) {ready}"


def _ready(name: str, values: str) -> dict[str, str]:
    return {series("k8s_statefulset_ready_pods", job=name, namespace="data"): values}


def _server_down(single: list[str], brokers: list[str]) -> Alert:
    # A broker of several may be away; of all others each pod is the only one of its kind. A broker
    # tells of itself: where its agent is away, so is its process.
    expr = _down(single)
    expr += "".join(f" or max by (job) (up{_of([name])}) == 0" for name in brokers)
    name = single[0]
    return Alert(
        "ServerDown",
        expr,
        severity="page",
        layer="server",
        owner="data",
        pending="1m",
        lingers="5m",
        summary="{{ $labels.job }} does not answer",
        description=(
            "What needs {{ $labels.job }} waits or fails until it is back. What was acknowledged is"
            " on its volume."
        ),
        cases=(
            Case(
                {
                    series("pg_up", job=name, pod=f"{name}-0"): "0x9",
                    series("up", job=name, pod=f"{name}-0"): "1x9",
                },
                "2m",
                (Said({"job": name}, f"{name} does not answer"),),
            ),
            # Nor does its exporter, and its pod is not ready, or nobody says so.
            *(
                Case(
                    {series("up", job=name, pod=f"{name}-0"): "1x5 0x9", **ready},
                    "8m",
                    (Said({"job": name}, f"{name} does not answer"),),
                )
                for ready in (_ready(name, "1x5 0x9"), _ready(name, "1x5 stale"))
            ),
            # The platform begins, and who would say whether its pod is ready does so as well.
            Case({series("up", job=name, pod=f"{name}-0"): "0x3 1x9"}, "3m"),
            # Only its exporter is away.
            Case(
                {series("up", job=name, pod=f"{name}-0"): "1x5 0x9", **_ready(name, "1x20")},
                "8m",
            ),
            *(
                Case(
                    {
                        series("up", job=broker, pod=f"{broker}-0"): "0x9",
                        series("up", job=broker, pod=f"{broker}-1"): "0x9",
                        series("up", job=broker, pod=f"{broker}-controller-0"): "1x9",
                    },
                    "3m",
                    (Said({"job": broker}, f"{broker} does not answer"),),
                )
                for broker in brokers
            ),
            Case(
                {
                    series("pg_up", job=name, pod=f"{name}-0"): "1x9",
                    series("up", job=name, pod=f"{name}-0"): "1x9",
                    series("mysql_up", job=name, pod=f"{name}-readers-0"): "0x9",
                    series("up", job=name, pod=f"{name}-archiver-12345"): "0x9",
                    **{
                        series("up", job=broker, pod=f"{broker}-{number}"): f"{number}x9"
                        for broker in brokers
                        for number in range(2)
                    },
                },
                "3m",
            ),
        ),
    )


def _cache_down(names: list[str]) -> Alert:
    name = names[0]
    return Alert(
        "CacheDown",
        _down(names),
        severity="ticket",
        layer="server",
        owner="data",
        pending="5m",
        summary="{{ $labels.job }} does not answer",
        description="Services go on without it: reads ask the database, which has more to do.",
        cases=(
            Case(
                {series("redis_up", job=name, pod=f"{name}-0"): "0x9"},
                "6m",
                (Said({"job": name}, f"{name} does not answer"),),
            ),
            Case({series("redis_up", job=name, pod=f"{name}-0"): "1x9"}, "6m"),
            Case({series("up", job=name, pod=f"{name}-0"): "0x9", **_ready(name, "1x9")}, "6m"),
        ),
    )


_PG: Final = {"job": "postgres", "pod": "postgres-0"}
_SOURCE: Final = {"job": "telemetry-database", "pod": "telemetry-database-0"}

_CONNECTIONS: Final = Alert(
    "ServerConnections",
    "sum by (job, pod) (pg_stat_activity_count) / max by (job, pod) (pg_settings_max_connections)"
    " > 0.8 or max by (job, pod) (mysql_global_status_threads_connected)"
    " / max by (job, pod) (mysql_global_variables_max_connections) > 0.8",
    severity="ticket",
    layer="symptom",
    owner="data",
    pending="5m",
    summary="{{ $labels.pod }}: {{ $value | humanizePercentage }} of its connections are open",
    description=(
        "At 100 % the next pod that starts is refused. The stack file reckons with twice the pods"
        " during a rollout; somebody else connects, or pools are larger than it says."
    ),
    cases=(
        Case(
            {
                series("pg_stat_activity_count", **_PG, datname="restdb", state="idle"): "60x9",
                series("pg_stat_activity_count", **_PG, datname="restdb", state="active"): "21x9",
                series("pg_settings_max_connections", **_PG): "100x9",
                series("mysql_global_status_threads_connected", **_SOURCE): "90x9",
                series("mysql_global_variables_max_connections", **_SOURCE): "100x9",
            },
            "6m",
            (
                Said(_PG, "postgres-0: 81% of its connections are open"),
                Said(_SOURCE, "telemetry-database-0: 90% of its connections are open"),
            ),
        ),
        Case(
            {
                series("pg_stat_activity_count", **_PG, datname="restdb", state="idle"): "60x9",
                series("pg_stat_activity_count", **_PG, datname="restdb", state="active"): "19x9",
                series("pg_settings_max_connections", **_PG): "100x9",
                series("mysql_global_status_threads_connected", **_SOURCE): "79x9",
                series("mysql_global_variables_max_connections", **_SOURCE): "100x9",
            },
            "6m",
        ),
    ),
)

_LONG_TRANSACTION: Final = Alert(
    "LongTransaction",
    "max by (job, datname) (pg_stat_activity_max_tx_duration) > 1800",
    severity="ticket",
    layer="symptom",
    owner="data",
    pending="5m",
    summary=(
        "{{ $labels.job }}: a transaction in {{ $labels.datname }} is open for"
        " {{ $value | humanizeDuration }}"
    ),
    description=(
        "Until it ends nothing that was deleted since can be cleaned up, and locks that it holds"
        " stay. Services here end theirs within seconds."
    ),
    cases=(
        Case(
            {series("pg_stat_activity_max_tx_duration", **_PG, datname="restdb"): "1801x9"},
            "6m",
            (
                Said(
                    {"job": "postgres", "datname": "restdb"},
                    "postgres: a transaction in restdb is open for 30m 1s",
                ),
            ),
        ),
        Case({series("pg_stat_activity_max_tx_duration", **_PG, datname="restdb"): "1799x9"}, "6m"),
    ),
)

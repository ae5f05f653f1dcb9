"""Copies of MySQL servers: whether they follow their source."""

from typing import Final

from infra.model.servers import readers
from infra.monitoring.forms import Alert, Case, Group, Implied, Said, series

_COPIES: Final = readers(".*") + "-[0-9]+"
"""Pods that hold a copy of what another holds."""
_ALL_READY: Final = (
    f'label_replace(k8s_statefulset_ready_pods{{namespace="data", job=~"{readers(".*")}"}}'
    ' == k8s_statefulset_desired_pods, "job", "$1", "job", "(.*)-readers")'
)
"""Servers whose copies are all ready, by Kubernetes' word. An exporter that is away alone says
nothing of them, which TargetDown tells."""

_SOURCE: Final = {"job": "telemetry-database", "pod": "telemetry-database-0"}
_COPY: Final = {"job": "telemetry-database", "pod": "telemetry-database-readers-0"}


def _of_copies(*, ready: int) -> dict[str, str]:
    of = {"job": readers(_SOURCE["job"]), "namespace": "data"}
    return {
        series("k8s_statefulset_ready_pods", **of): f"{ready}x9",
        series("k8s_statefulset_desired_pods", **of): "1x9",
    }


GROUP: Final = Group(
    "mysql",
    (
        Alert(
            "ReplicationStopped",
            "min by (job, pod) (mysql_slave_status_replica_io_running) == 0"
            " or min by (job, pod) (mysql_slave_status_replica_sql_running) == 0",
            severity="page",
            # Of the server's own: those who write to the source do not notice.
            layer="symptom",
            owner="data",
            pending="2m",
            summary="{{ $labels.pod }} no longer follows its source",
            description=(
                "It shows ever older data, and takes itself out of the readers' Service. When it is"
                " the last, reads from copies fail."
            ),
            implied=(Implied("ServerDown"),),
            cases=(
                Case(
                    {
                        series("mysql_slave_status_replica_io_running", **_COPY): "1x9",
                        series("mysql_slave_status_replica_sql_running", **_COPY): "0x9",
                    },
                    "3m",
                    (Said(_COPY, "telemetry-database-readers-0 no longer follows its source"),),
                ),
                Case(
                    {
                        series("mysql_slave_status_replica_io_running", **_COPY): "1x9",
                        series("mysql_slave_status_replica_sql_running", **_COPY): "1x9",
                    },
                    "3m",
                ),
            ),
        ),
        Alert(
            "ReplicationLate",
            "max by (job, pod) (mysql_slave_status_seconds_behind_source) > 30",
            severity="ticket",
            layer="symptom",
            owner="data",
            pending="5m",
            summary="{{ $labels.pod }} is {{ $value | humanizeDuration }} behind its source",
            description="Reads from it are old, or no longer sent to it.",
            implied=(Implied("ReplicationStopped"),),
            cases=(
                Case(
                    {series("mysql_slave_status_seconds_behind_source", **_COPY): "61x9"},
                    "6m",
                    (Said(_COPY, "telemetry-database-readers-0 is 1m 1s behind its source"),),
                ),
                Case({series("mysql_slave_status_seconds_behind_source", **_COPY): "29x9"}, "6m"),
            ),
        ),
        Alert(
            "CopyDown",
            f'mysql_up{{pod=~"{_COPIES}"}} == 0'
            f' or up{{pod=~"{_COPIES}"}} == 0 unless on (job) {_ALL_READY}',
            severity="ticket",
            layer="server",
            owner="data",
            pending="5m",
            summary="{{ $labels.pod }} does not answer",
            description="Others answer in its place; with the last one reads from copies fail.",
            implied=(Implied("ServerDown"),),
            cases=(
                Case(
                    {series("mysql_up", **_COPY): "0x9", series("mysql_up", **_SOURCE): "0x9"},
                    "6m",
                    (Said(_COPY, "telemetry-database-readers-0 does not answer"),),
                ),
                Case(
                    {series("up", **_COPY): "0x9", **_of_copies(ready=0)},
                    "6m",
                    (Said(_COPY, "telemetry-database-readers-0 does not answer"),),
                ),
                Case(
                    {series("mysql_up", **_COPY): "1x9", series("mysql_up", **_SOURCE): "0x9"}, "6m"
                ),
                Case({series("up", **_COPY): "0x9", **_of_copies(ready=1)}, "6m"),
            ),
        ),
    ),
)

"""Which series have to be there for alerts to be able to fire, and which may rightly be absent.

An alert whose series are gone is quiet, as if all were well. Every name that an alert goes by is in
one of these tables, directly or by what is recorded of it: a test insists on the choice.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from infra.model.objects import ALERTMANAGER, COLLECTOR, PROMETHEUS
from infra.model.records import Records
from infra.model.servers import EXPORTERS, Engine

OF_SERVICES: Final = ("service_ready", "tracing_spans_total")
"""Of every service, from its first moment on, as all of these tables' are."""
OF_DATABASES_USERS: Final = ("db_pool_connections", "tls_certificate_expiry_timestamp_seconds")
"""Of services that use databases; of certificates at least their CA's is there."""
OF_CALLED: Final = ("grpc_server_handling_seconds_bucket", "grpc_server_handling_seconds_count")
"""Of services with a port for gRPC: they know their methods from the beginning."""
OF_CONSUMERS: Final = ("kafka_consumer_assigned_partitions",)
"""Of services that consume. It stands for what comes with their first message."""
OF_PACKAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "async_writer": ("async_writer_points_dead_total",),
    "cpu_writer": ("cpu_writer_write_seconds_bucket", "cpu_writer_write_seconds_count"),
    "event_worker": (
        "inbox_event_age_seconds_bucket",
        "inbox_event_age_seconds_count",
        "inbox_held_events_overdue",
    ),
    "grpc_service": (
        "inbox_held_events_overdue",
        "task_process_restarts_total",
        "tasks_oldest_pending_age_seconds",
    ),
    "ingest_service": ("ingest_admission_closed", "ingest_stream_entries"),
    "outbox_relay": (
        "outbox_lanes_leased",
        "outbox_oldest_unsent_age_seconds",
        "outbox_parked_keys",
        "outbox_partitions_kept",
        "outbox_sick_partitions",
    ),
    "stream_writer": (
        "stream_dead_letters",
        "stream_oldest_entry_age_seconds",
        "writer_documents_total",
    ),
}
OF_ENGINES: Final[Mapping[Engine, tuple[str, ...]]] = {
    "postgres": (
        "pg_up",
        "pg_settings_max_connections",
        "pg_stat_activity_count",
        "pg_stat_activity_max_tx_duration",
    ),
    "mysql": (
        "mysql_up",
        "mysql_global_status_threads_connected",
        "mysql_global_variables_max_connections",
    ),
    "redis": (
        "redis_up",
        "redis_aof_last_write_status",
        "redis_memory_max_bytes",
        "redis_memory_used_bytes",
    ),
    "kafka": (
        "kafka_controller_kafkacontroller_activecontrollercount",
        "kafka_controller_kafkacontroller_offlinepartitionscount",
        "kafka_server_replicamanager_underminisrpartitioncount",
        "kafka_server_replicamanager_underreplicatedpartitions",
    ),
}
OF_WATCHERS: Final[Mapping[str, tuple[str, ...]]] = {
    PROMETHEUS: (
        "prometheus_config_last_reload_successful",
        "prometheus_rule_evaluation_failures_total",
    ),
    ALERTMANAGER: (
        "alertmanager_config_last_reload_successful",
        "alertmanager_notifications_failed_total",
    ),
    "kubelet": ("up",),
}
"""By job. Of each target there is `up`; of kubelets there is none if no node is found."""
OF_OBJECTS: Final = (
    "k8s_container_restarts",
    "k8s_deployment_available",
    "k8s_deployment_desired",
    "k8s_statefulset_desired_pods",
    "k8s_statefulset_ready_pods",
)
"""What the collector tells of others: it is to blame if there is none of any object."""

_ARCHIVERS: Final = "archivers are where a stack has backups; ArchiverAway misses them by itself"
_FIRST: Final = "it begins with the first request, message, event or line of its kind"
_JOBS: Final = "there may be no Job, or none any more"
_COPIES: Final = "a stack may have no copies"
_KUBELET: Final = "drivers of volumes need not say how full they are"
MAY_BE_ABSENT: Final[Mapping[str, str]] = {
    "ALERTS": "it is there while anything fires",
    "backup_archive_lag_seconds": _ARCHIVERS,
    "backup_archive_until_timestamp_seconds": _ARCHIVERS,
    "backup_drill_passed": "no drill may have ended yet",
    "backup_newest_proven_timestamp_seconds": "BackupNeverProven tells when there is none",
    "grpc_server_handled_total": _FIRST,
    "http_request_duration_seconds_bucket": _FIRST,
    "http_request_duration_seconds_count": _FIRST,
    "http_requests_total": _FIRST,
    "k8s_hpa_current_replicas": "a stack may have no autoscaler",
    "k8s_hpa_max_replicas": "a stack may have no autoscaler",
    "k8s_job_active_pods": _JOBS,
    "k8s_job_failed_pods": _JOBS,
    "k8s_job_successful_pods": _JOBS,
    "kafka_consumer_dead_letters_total": _FIRST,
    "kafka_consumer_lag": _FIRST,
    "kafka_consumer_messages_consumed_total": _FIRST,
    "kubelet_volume_stats_available_bytes": _KUBELET,
    "kubelet_volume_stats_capacity_bytes": _KUBELET,
    "loki_discarded_samples_total": _FIRST,
    "mysql_slave_status_replica_io_running": _COPIES,
    "mysql_slave_status_replica_sql_running": _COPIES,
    "mysql_slave_status_seconds_behind_source": _COPIES,
    "outbox_events_published_total": _FIRST,
    "tasks_finished_total": _FIRST,
}
"""What alerts go by and nobody misses, and why not."""


@dataclass(frozen=True)
class Expected:
    """A series without which some alert could not fire."""

    metric: str
    job: str
    """Who tells it."""
    own: bool = True
    """Whether it is labelled with that job; what is told of others has theirs."""

    @property
    def absent(self) -> str:
        """PromQL that has a value while it is not there, with `job` and `metric` as labels."""
        # `absent` keeps the labels that it is asked for, but not the name.
        if self.own:
            missing = f'absent({self.metric}{{job="{self.job}"}})'
        else:
            missing = f'label_replace(absent({self.metric}), "job", "{self.job}", "", "")'
        return f'label_replace({missing}, "metric", "{self.metric}", "", "")'


def expected(records: Records) -> tuple[Expected, ...]:
    """Everything that has to be there, once each."""
    return (*_of_services(records), *_of_servers(records), *_of_platform())


def asked(records: Records) -> tuple[str, ...]:
    """Servers that are asked by an exporter, of which they know nothing."""
    return tuple(server.name for server in records.servers if server.engine in EXPORTERS)


def _of_services(records: Records) -> Iterator[Expected]:
    for service in records.services:
        names = (
            *OF_SERVICES,
            *(OF_DATABASES_USERS if service.databases else ()),
            *(OF_CALLED if any(port.protocol == "grpc" for port in service.ports) else ()),
            *(OF_CONSUMERS if service.consumes else ()),
            *OF_PACKAGES.get(service.package, ()),
        )
        yield from (Expected(name, service.name) for name in names)


def _of_servers(records: Records) -> Iterator[Expected]:
    for server in records.servers:
        yield from (Expected(name, server.name) for name in OF_ENGINES[server.engine])


def _of_platform() -> Iterator[Expected]:
    for job, names in OF_WATCHERS.items():
        yield from (Expected(name, job) for name in names)
    yield from (Expected(name, COLLECTOR, own=False) for name in OF_OBJECTS)

"""Series that rules and boards go by and no service of ours registers: names, labels, where from.

Every series also has what the scrape gives it (`SCRAPED`): `job` is the name of the record that it
is about, not of the exporter, and `pod` the pod that it is about. Whoever configures scrapes and
relabels has to see to that; whoever changes a version has to look at these names again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from infra.monitoring import kafka_jmx

SCRAPED: Final = ("instance", "job", "namespace", "node", "pod")
"""Labels that any series may have. `node` is of the kubelet's."""


@dataclass(frozen=True)
class Exporter:
    """A program that tells of another one."""

    name: str
    version: str
    needs: str
    """What has to be so for these to be there."""
    series: Mapping[str, tuple[str, ...]]
    """Name to labels, those of the scrape aside."""


_JOB_AND_POD: Final = "a target per server, labelled with the server's name and its pod"
_STATE: Final = (
    *("application_name", "backend_type", "datname", "server", "state", "usename"),
    *("wait_event", "wait_event_type"),
)
_CHANNEL: Final = ("channel_name", "connection_name", "master_host", "master_uuid")
_BACKEND: Final = ("endpoint", "hostgroup")
_OF_CONTAINER: Final = ("container", "id")
"""Without what nobody asks for (`infra/monitoring/scraping/kubernetes.py`)."""
_OF_MACHINE: Final = ("boot_id", "machine_id", "system_uuid")


def _each(labels: tuple[str, ...], *names: str) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(names, labels)


EXPORTERS: Final = (
    Exporter(
        "Prometheus",
        "3.5",
        "itself and Alertmanager among its targets",
        {
            "ALERTS": ("alertname", "alertstate", "layer", "severity"),
            "prometheus_rule_evaluation_failures_total": ("rule_group",),
            **_each(
                (),
                *("prometheus_tsdb_head_series", "prometheus_tsdb_storage_blocks_bytes"),
                "prometheus_config_last_reload_successful",
                *("scrape_duration_seconds", "scrape_samples_scraped", "up"),
            ),
        },
    ),
    Exporter(
        "Alertmanager",
        "0.33",
        "a target of its own",
        {
            "alertmanager_config_last_reload_successful": (),
            "alertmanager_notifications_failed_total": ("integration", "reason", "receiver_name"),
        },
    ),
    Exporter(
        "postgres_exporter",
        "0.19",
        f"{_JOB_AND_POD}; an account with pg_monitor",
        {
            "pg_up": (),
            "pg_database_size_bytes": ("datname",),
            "pg_locks_count": ("datname", "mode"),
            "pg_settings_max_connections": ("server",),
            **_each(_STATE, "pg_stat_activity_count", "pg_stat_activity_max_tx_duration"),
            **_each(
                ("datid", "datname"),
                *("pg_stat_database_blks_hit", "pg_stat_database_blks_read"),
                *("pg_stat_database_deadlocks", "pg_stat_database_tup_returned"),
                *("pg_stat_database_xact_commit", "pg_stat_database_xact_rollback"),
            ),
            "pg_wal_size_bytes": (),
        },
    ),
    Exporter(
        "mysqld_exporter",
        "0.19",
        f"{_JOB_AND_POD}; an account with REPLICATION CLIENT, and MySQL 8.4 or newer, whose words "
        "these are",
        {
            "mysql_global_status_commands_total": ("command",),
            **_each(
                (),
                *("mysql_up", "mysql_global_variables_max_connections"),
                *("mysql_global_status_aborted_connects", "mysql_global_status_bytes_received"),
                *("mysql_global_status_bytes_sent", "mysql_global_status_innodb_os_log_fsyncs"),
                "mysql_global_status_innodb_buffer_pool_read_requests",
                "mysql_global_status_innodb_buffer_pool_reads",
                *("mysql_global_status_innodb_row_lock_waits", "mysql_global_status_queries"),
                *("mysql_global_status_slow_queries", "mysql_global_status_threads_connected"),
                "mysql_global_status_threads_running",
            ),
            **_each(
                _CHANNEL,
                "mysql_slave_status_replica_io_running",
                "mysql_slave_status_replica_sql_running",
                "mysql_slave_status_seconds_behind_source",
            ),
        },
    ),
    Exporter(
        "ProxySQL",
        "2.7",
        "its own HTTP port, where the stack has it",
        {
            **_each(
                _BACKEND,
                *("proxysql_connpool_conns_latency_us", "proxysql_connpool_conns_queries_total"),
                "proxysql_connpool_conns_status",
            ),
            **_each(
                (*_BACKEND, "status"), "proxysql_connpool_conns", "proxysql_connpool_conns_total"
            ),
            "proxysql_connpool_data_bytes_total": (*_BACKEND, "traffic_flow"),
            **_each(
                (),
                "proxysql_access_denied_wrong_password_total",
                "proxysql_client_connections_connected",
                "proxysql_server_connections_connected",
            ),
        },
    ),
    Exporter(
        "redis_exporter",
        "1.86",
        f"{_JOB_AND_POD}; an account that may ask INFO",
        {
            **_each(("cmd",), "redis_commands_duration_seconds_total", "redis_commands_total"),
            **_each(
                (),
                *("redis_up", "redis_memory_used_bytes", "redis_memory_max_bytes"),
                *("redis_aof_current_size_bytes", "redis_aof_delayed_fsync"),
                *("redis_aof_last_write_status", "redis_commands_processed_total"),
                *("redis_connected_clients", "redis_evicted_keys_total"),
                *("redis_expired_keys_total", "redis_keyspace_hits_total"),
                *("redis_keyspace_misses_total", "redis_rejected_connections_total"),
            ),
        },
    ),
    Exporter(
        "JMX exporter (agent)",
        "1.0",
        "`kafka_jmx.configuration()`, in every broker and controller; of the Java machine it tells "
        "by itself",
        {
            **{rule.name: tuple(rule.labels) for rule in kafka_jmx.RULES},
            "jvm_gc_collection_seconds_sum": ("gc",),
            "jvm_memory_used_bytes": ("area",),
        },
    ),
    Exporter(
        "OpenTelemetry Collector, k8s_cluster receiver",
        "0.145",
        "resource attributes relabelled: k8s_namespace_name to namespace, k8s_pod_name to pod, the "
        "name of the object, and of a pod that of what it belongs to, to job",
        {
            "k8s_container_restarts": ("container",),
            "k8s_deployment_available": (),
            "k8s_deployment_desired": (),
            "k8s_hpa_current_replicas": (),
            "k8s_hpa_desired_replicas": (),
            "k8s_hpa_max_replicas": (),
            "k8s_job_active_pods": (),
            "k8s_job_failed_pods": (),
            "k8s_job_successful_pods": (),
            "k8s_statefulset_desired_pods": (),
            "k8s_statefulset_ready_pods": (),
        },
    ),
    Exporter(
        "OpenTelemetry Collector, file receiver",
        "0.145",
        "a target on every node, where the stack keeps logs",
        {
            "otelcol_exporter_send_failed_log_records_total": ("exporter",),
            "otelcol_exporter_sent_log_records_total": ("exporter",),
        },
    ),
    Exporter(
        "Loki",
        "3.7",
        "a target of its own, where the stack keeps logs",
        {
            "loki_discarded_samples_total": (
                "format",
                "policy",
                "reason",
                "retention_hours",
                "tenant",
            )
        },
    ),
    Exporter(
        "kubelet",
        "1.30",
        "its /metrics as the job kubelet; volumes of a driver that says how full they are",
        {
            "kubelet_volume_stats_available_bytes": ("persistentvolumeclaim",),
            "kubelet_running_pods": (),
            "kubelet_volume_stats_capacity_bytes": ("persistentvolumeclaim",),
        },
    ),
    Exporter(
        "cAdvisor",
        "1.30",
        "the kubelet's /metrics/cadvisor",
        {
            **_each(
                _OF_CONTAINER,
                *("container_cpu_cfs_periods_total", "container_cpu_cfs_throttled_periods_total"),
                "container_memory_working_set_bytes",
                "container_spec_memory_limit_bytes",
            ),
            "container_cpu_usage_seconds_total": (*_OF_CONTAINER, "cpu"),
            **_each(
                (*_OF_CONTAINER, "interface"),
                "container_network_receive_bytes_total",
                "container_network_transmit_bytes_total",
            ),
            **_each(_OF_MACHINE, "machine_cpu_cores", "machine_memory_bytes"),
        },
    ),
)


def names(exporter: str) -> frozenset[str]:
    """Of all that an exporter tells, what rules and boards ask for: the rest need not be kept."""
    [found] = (one for one in EXPORTERS if one.name == exporter)
    return frozenset(found.series)

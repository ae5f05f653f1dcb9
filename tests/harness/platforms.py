"""Small programs that build each component with plausible arguments, to be varied by tests."""

from functools import cache
from typing import Any

import pulumi

from components.kit import bindings
from components.kit.args import Files, Mount, Resources, Storage
from components.monitoring import exporters
from components.monitoring.alertmanager import Alertmanager, AlertmanagerArgs
from components.monitoring.collector import Collector, CollectorArgs
from components.monitoring.exporter import Exporter, ExporterArgs
from components.monitoring.grafana import Grafana, GrafanaArgs
from components.monitoring.jaeger import Jaeger, JaegerArgs
from components.monitoring.log_reader import LogReader, LogReaderArgs
from components.monitoring.loki import Loki, LokiArgs
from components.monitoring.prometheus import Prometheus, PrometheusArgs
from components.monitoring.web import WEB_FILE, web_config
from components.security.certificate import Certificate, CertificateArgs
from components.security.namespaces import Namespaces, NamespacesArgs
from components.security.pki import CertificateAuthority, CertificateAuthorityArgs
from components.security.secrets import Password, PasswordArgs
from components.security.signing import SigningKeys, SigningKeysArgs
from components.servers.kafka.cluster import Kafka, KafkaArgs, KafkaNodes
from components.servers.mysql.server import MySQL, MySQLArgs
from components.servers.postgres.server import Postgres, PostgresArgs
from components.servers.proxysql.server import ProxySQL, ProxySQLArgs, ProxyUser
from components.servers.redis.server import Redis, RedisArgs, RedisUser
from components.workloads.claim import Claim, ClaimArgs
from components.workloads.cronjob import CronJob, CronJobArgs
from components.workloads.daemon import Daemon, DaemonArgs
from components.workloads.jobs import Job, JobArgs
from components.workloads.load_generator import LoadGenerator, LoadGeneratorArgs
from components.workloads.ports import Entry, Port
from components.workloads.processes import Kept
from components.workloads.scaling import Pace, Scale
from components.workloads.sidecars import Sidecar
from components.workloads.workload import Workload, WorkloadArgs
from tests.harness.recording import Recording, record

DIGEST = "@sha256:" + "ab" * 32
SIZE = Resources(cpu_request="100m", cpu_limit="1", memory_request="256Mi", memory_limit="1Gi")
STORAGE = Storage(size="5Gi", retention="Delete")


def image(name: str) -> str:
    return f"registry.example/millrace/{name}{DIGEST}"


def files(name: str = "some", kind: Any = "Secret", version: str = "1") -> Files:
    return Files(
        kind=kind,
        name=pulumi.Output.from_input(name),
        version=pulumi.Output.from_input(version),
    )


def namespaces() -> Namespaces:
    return Namespaces("namespaces", NamespacesArgs(names=("data", "apps")))


def authority(**changes: Any) -> CertificateAuthority:
    args = {"namespaces": {"data": "data", "apps": "apps"}, **changes}
    return CertificateAuthority("internal-ca", CertificateAuthorityArgs(**args))


def certificate(**changes: Any) -> Certificate:
    args = {
        "authority": authority(),
        "namespace": "data",
        "secret_name": "server-tls",
        "common_name": "server",
        "dns_names": ("server.data.svc",),
        **changes,
    }
    return Certificate("server-tls", CertificateArgs(**args))


def signing_keys(**changes: Any) -> SigningKeys:
    args = {
        "namespace": "apps",
        "secret_name": "auth-signing-keys",
        "keys": ("key-1", "key-2"),
        "active": "key-1",
        **changes,
    }
    return SigningKeys("auth-signing-keys", SigningKeysArgs(**args))


def password(**changes: Any) -> Password:
    args = {
        "secret_name": "postgres-restdb",
        "namespaces": {"data": "data", "apps": "apps"},
        **changes,
    }
    return Password("postgres-restdb", PasswordArgs(**args))


def nodes(replicas: int = 1, **changes: Any) -> KafkaNodes:
    args = {"replicas": replicas, "heap": "512Mi", "resources": SIZE, "storage": STORAGE, **changes}
    return KafkaNodes(**args)


def kafka(opts: pulumi.ResourceOptions | None = None, **changes: Any) -> Kafka:
    args = {
        "namespace": "data",
        "image": image("kafka"),
        "authority": authority(),
        "brokers": nodes(),
        **changes,
    }
    return Kafka("kafka", KafkaArgs(**args), opts)


def kafka_of_three(**changes: Any) -> Kafka:
    """Separate controllers, as in production."""
    return kafka(
        brokers=nodes(3),
        controllers=nodes(3),
        replication_factor=3,
        min_insync_replicas=2,
        **changes,
    )


def postgres(opts: pulumi.ResourceOptions | None = None, **changes: Any) -> Postgres:
    args = {
        "namespace": "data",
        "image": image("postgres"),
        "authority": authority(),
        "admin_password": files("postgres-admin"),
        "resources": SIZE,
        "storage": STORAGE,
        **changes,
    }
    return Postgres("postgres", PostgresArgs(**args), opts)


def mysql(opts: pulumi.ResourceOptions | None = None, **changes: Any) -> MySQL:
    args = {
        "namespace": "data",
        "image": image("mysql"),
        "authority": authority(),
        "admin_password": files("client-database-admin"),
        "resources": SIZE,
        "storage": STORAGE,
        **changes,
    }
    return MySQL("client-database", MySQLArgs(**args), opts)


def mysql_of_three() -> MySQL:
    """A source and two copies."""
    return mysql(replicas=3)


def proxysql(opts: pulumi.ResourceOptions | None = None, **changes: Any) -> ProxySQL:
    args = {
        "namespace": "data",
        "image": image("proxysql"),
        "authority": authority(),
        "source": "telemetry-database.data.svc",
        "copies": ("telemetry-database-1.telemetry-database-headless.data.svc.cluster.local",),
        "users": (ProxyUser(name="telemetry_user", password=pulumi.Output.secret("opensesame")),),
        "monitor": ProxyUser(name="proxysql_monitor", password=pulumi.Output.secret("lookabout")),
        "ca": files("millrace-ca", "ConfigMap"),
        "resources": SIZE,
        **changes,
    }
    return ProxySQL("telemetry-database-proxy", ProxySQLArgs(**args), opts)


def redis_user(**changes: Any) -> RedisUser:
    args = {
        "name": "rest-service",
        "passwords": pulumi.Output.secret(["opensesame"]),
        "keys": ("resource:*",),
        "commands": ("get", "set", "del", "eval"),
        **changes,
    }
    return RedisUser(**args)


def redis(opts: pulumi.ResourceOptions | None = None, **changes: Any) -> Redis:
    args = {
        "namespace": "data",
        "image": image("redis"),
        "authority": authority(),
        "users": (redis_user(),),
        "resources": SIZE,
        **changes,
    }
    return Redis("redis-cache", RedisArgs(**args), opts)


def redis_stream() -> Redis:
    """The same component as a store."""
    return redis(storage=STORAGE, eviction="noeviction", append_fsync="always")


def workload(opts: pulumi.ResourceOptions | None = None, **changes: Any) -> Workload:
    args = {
        "namespace": "apps",
        "image": image("services"),
        "command": ("python", "-m", "services.rest_service"),
        "resources": SIZE,
        "ca": files("millrace-ca", "ConfigMap"),
        "replicas": 2,
        "ports": (Port(name="http", number=8080, outside=30080),),
        "entry": Entry(type="NodePort"),
        "bindings": (
            bindings.database(
                host="postgres.data.svc",
                port="5432",
                name="restdb",
                user="restdb",
                password=files("postgres-restdb"),
                pool_size=5,
            ),
            bindings.redis(
                host="redis-cache.data.svc",
                port="6379",
                username="rest-service",
                password=files("redis-rest-service"),
            ),
        ),
        "env": {"LOG_LEVEL": "INFO"},
        "pod_name_env": ("RELAY_ID",),
        **changes,
    }
    return Workload("rest-service", WorkloadArgs(**args), opts)


def sidecar(**changes: Any) -> Sidecar:
    args = {
        "name": "proxy",
        "image": image("proxy"),
        "env": {"UPSTREAM": "localhost"},
        "mounts": (Mount(files=files("proxy", "ConfigMap"), path="/etc/millrace/proxy"),),
        "resources": SIZE,
        **changes,
    }
    return Sidecar(**args)


def workload_in_full() -> Workload:
    """Every port and probe, a sidecar and an autoscaler."""
    return workload(
        ports=(
            Port(name="grpc", number=9000, protocol="grpc", outside=30090),
            Port(name="http", number=8080, outside=30080),
            Port(name="admin", number=8081),
        ),
        replicas=Scale(
            min=2, max=10, cpu_percent=60, down=Pace(after_seconds=60, pods=2, every_seconds=30)
        ),
        sidecars=(sidecar(),),
    )


def job(opts: pulumi.ResourceOptions | None = None, **changes: Any) -> Job:
    args = {
        "namespace": "apps",
        "image": image("services"),
        "command": ("python", "-m", "services.provision", "kafka", "--spec", "FILE"),
        "resources": SIZE,
        "ca": files("millrace-ca", "ConfigMap"),
        "spec": '{"topics": []}',
        **changes,
    }
    return Job("kafka-provision", JobArgs(**args), opts)


def load_generator(opts: pulumi.ResourceOptions | None = None, **changes: Any) -> LoadGenerator:
    args = {
        "namespace": "loadtest",
        "image": image("loadtests"),
        "resources": SIZE,
        "workers": 4,
        "entries": {"data": "http://ingest-service.apps.svc"},
        **changes,
    }
    return LoadGenerator("load-generator", LoadGeneratorArgs(**args), opts)


def claim(opts: pulumi.ResourceOptions | None = None, **changes: Any) -> Claim:
    args = {"namespace": "data", "storage": STORAGE, **changes}
    return Claim("postgres-backups", ClaimArgs(**args), opts)


def prometheus(opts: pulumi.ResourceOptions | None = None, **changes: Any) -> Prometheus:
    args = {
        "namespace": "monitoring",
        "image": image("prometheus"),
        "authority": authority(),
        "ca": files("millrace-ca", "ConfigMap"),
        "configuration": "scrape_configs: []\n",
        "rules": {"servers.yaml": "groups: []\n"},
        "watches": {"data": "data", "apps": "apps"},
        "resources": SIZE,
        "storage": STORAGE,
        "node_port": 30090,
        "url": "https://localhost:30090",
        **changes,
    }
    return Prometheus("prometheus", PrometheusArgs(**args), opts)


def alertmanager(opts: pulumi.ResourceOptions | None = None, **changes: Any) -> Alertmanager:
    args = {
        "namespace": "monitoring",
        "image": image("alertmanager"),
        "authority": authority(),
        "configuration": "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n",
        "receivers": {"on-call": files("alerts-on-call")},
        "resources": SIZE,
        "storage": STORAGE,
        **changes,
    }
    return Alertmanager("alertmanager", AlertmanagerArgs(**args), opts)


def grafana(opts: pulumi.ResourceOptions | None = None, **changes: Any) -> Grafana:
    args = {
        "namespace": "monitoring",
        "image": image("grafana"),
        "authority": authority(),
        "ca": files("millrace-ca", "ConfigMap"),
        "provisioning": {
            "datasources/prometheus.yaml": "{}\n",
            "dashboards/millrace.yaml": "{}\n",
            "millrace/overview.json": "{}\n",
        },
        "admin_password": files("grafana-admin"),
        "resources": SIZE,
        **changes,
    }
    return Grafana("grafana", GrafanaArgs(**args), opts)


def exporter(opts: pulumi.ResourceOptions | None = None, **changes: Any) -> Exporter:
    args = {
        "namespace": "monitoring",
        "image": image("postgres-exporter"),
        "authority": authority(),
        "ca": files("millrace-ca", "ConfigMap"),
        "command": exporters.postgres_command(),
        "port": exporters.POSTGRES_PORT,
        "config": {
            WEB_FILE: web_config(),
            "postgres_exporter.yml": pulumi.Output.from_input("auth_modules: {}"),
        },
        **changes,
    }
    return Exporter("postgres-exporter", ExporterArgs(**args), opts)


def collector(opts: pulumi.ResourceOptions | None = None, **changes: Any) -> Collector:
    args = {
        "namespace": "monitoring",
        "image": image("collector"),
        "authority": authority(),
        "ca": files("millrace-ca", "ConfigMap"),
        "resources": SIZE,
        "watches": {"data": "data", "apps": "apps"},
        "watched_names": ("data", "apps"),
        "metrics": frozenset({"k8s.deployment.desired"}),
        "kept": 0.25,
        "store": "jaeger.monitoring.svc:4317",
        **changes,
    }
    return Collector("collector", CollectorArgs(**args), opts)


def jaeger(opts: pulumi.ResourceOptions | None = None, **changes: Any) -> Jaeger:
    args = {
        "namespace": "monitoring",
        "image": image("jaeger"),
        "authority": authority(),
        "ca": files("millrace-ca", "ConfigMap"),
        "resources": SIZE,
        "traces": 5000,
        **changes,
    }
    return Jaeger("jaeger", JaegerArgs(**args), opts)


def loki(opts: pulumi.ResourceOptions | None = None, **changes: Any) -> Loki:
    args = {
        "namespace": "monitoring",
        "image": image("loki"),
        "authority": authority(),
        "resources": SIZE,
        "storage": STORAGE,
        **changes,
    }
    return Loki("loki", LokiArgs(**args), opts)


def log_reader(opts: pulumi.ResourceOptions | None = None, **changes: Any) -> LogReader:
    args = {
        "namespace": "logging",
        "image": image("collector"),
        "ca": files("millrace-ca", "ConfigMap"),
        "reads": ("data", "apps"),
        "store": "https://loki.monitoring.svc:3100",
        "resources": SIZE,
        **changes,
    }
    return LogReader("log-reader", LogReaderArgs(**args), opts)


_BACKGROUND: dict[str, Any] = {
    "namespace": "data",
    "image": image("backup-postgres"),
    "resources": SIZE,
    "ca": files("millrace-ca", "ConfigMap"),
    "storage": (Kept(name="backups", path="/backups", claim="postgres-backups"),),
    "together": "postgres-backups",
    "spec": '{"database": "restdb"}',
}


def cron_job(opts: pulumi.ResourceOptions | None = None, **changes: Any) -> CronJob:
    command = ("python", "-m", "services.backup", "postgres", "take", "--spec", "FILE")
    args = {**_BACKGROUND, "command": command, "schedule": "30 2 * * *", **changes}
    return CronJob("postgres-backup", CronJobArgs(**args), opts)


def daemon(opts: pulumi.ResourceOptions | None = None, **changes: Any) -> Daemon:
    command = ("python", "-m", "services.backup", "postgres", "archive", "--spec", "FILE")
    args = {**_BACKGROUND, "command": command, **changes}
    return Daemon("postgres-archiver", DaemonArgs(**args), opts)


PROGRAMS: dict[str, Any] = {
    "Namespaces": namespaces,
    "CertificateAuthority": authority,
    "Certificate": certificate,
    "Password": password,
    "SigningKeys": signing_keys,
    "Kafka": kafka,
    "Kafka of three": kafka_of_three,
    "Postgres": postgres,
    "MySQL": mysql,
    "MySQL with copies": mysql_of_three,
    "ProxySQL": proxysql,
    "Redis": redis,
    "Redis as a store": redis_stream,
    "Workload": workload,
    "Workload in full": workload_in_full,
    "Job": job,
    "LoadGenerator": load_generator,
    "Claim": claim,
    "CronJob": cron_job,
    "Daemon": daemon,
    "Prometheus": prometheus,
    "Alertmanager": alertmanager,
    "Grafana": grafana,
    "Exporter": exporter,
    "Collector": collector,
    "Jaeger": jaeger,
    "Loki": loki,
    "LogReader": log_reader,
}
"""Every component once, and in its other shape where it has one."""


@cache
def recorded(shape: str) -> Recording:
    """What that program registers; built once, only read."""
    return record(PROGRAMS[shape])

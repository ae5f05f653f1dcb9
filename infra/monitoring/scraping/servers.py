"""The data servers: by the exporter of their engine, Kafka by the agent in every node.

Every pod that the stack asks for is a target by its name, there or not: service discovery would
forget a pod that is gone, and with it that somebody should miss it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from infra.model.edges import AGENT_PORT, CLIENT_PORT, EXPORTER_PORT
from infra.model.objects import DATA
from infra.model.records import Records
from infra.model.servers import EXPORTERS, Engine, Server, readers
from infra.model.settings import PlatformSettings
from infra.monitoring import exporters
from infra.monitoring.scraping.parts import host, keeping, tls

_PATH: Final[dict[Engine, str]] = {"postgres": "/probe", "mysql": "/probe", "redis": "/scrape"}
_PROGRAM: Final[dict[Engine, str]] = {
    "postgres": "postgres_exporter",
    "mysql": "mysqld_exporter",
    "redis": "redis_exporter",
    "kafka": "JMX exporter (agent)",
}


@dataclass(frozen=True)
class _Pod:
    """One pod of a server, and by which name its certificate knows it."""

    name: str
    host: str


def of_servers(records: Records, settings: PlatformSettings) -> list[dict[str, Any]]:
    """A job of Prometheus per server."""
    return [
        _of_kafka(server, settings) if server.engine == "kafka" else _asked(server, settings)
        for server in records.servers
    ]


def redis_target(server: Server) -> str:
    """What the exporter is told to ask, and looks the password up by."""
    return f"rediss://{_service(server.name)}:{CLIENT_PORT['redis']}"


def _asked(server: Server, settings: PlatformSettings) -> dict[str, Any]:
    """By way of its engine's exporter, which is told what to ask."""
    engine = server.engine
    exporter = host(EXPORTERS[engine])
    module = {
        "postgres": {"auth_module": [server.name]},
        "mysql": {"auth_module": [f"client.{server.name}"]},
    }.get(engine, {})
    return {
        "job_name": f"servers/{server.name}",
        **tls(exporter),
        "metrics_path": _PATH[engine],
        "params": module,
        "static_configs": [
            _target(server, pod.name, _asked_for(server, pod.host))
            for pod in _pods(server, settings)
        ],
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {
                "target_label": "__address__",
                "replacement": f"{exporter}:{EXPORTER_PORT[engine]}",
            },
            *_instance(),
        ],
        "metric_relabel_configs": [keeping(exporters.names(_PROGRAM[engine]))],
    }


def _of_kafka(server: Server, settings: PlatformSettings) -> dict[str, Any]:
    kafka = settings.kafka
    groups = {server.name: kafka.brokers, f"{server.name}-controller": kafka.controllers}
    return {
        "job_name": f"servers/{server.name}",
        "static_configs": [
            _target(server, pod.name, f"{pod.host}:{AGENT_PORT[server.engine]}")
            for group, nodes in groups.items()
            for pod in _replicas(group, nodes)
        ],
        "relabel_configs": [*_instance()],
        "metric_relabel_configs": [keeping(exporters.names(_PROGRAM["kafka"]))],
    }


def _pods(server: Server, settings: PlatformSettings) -> Iterator[_Pod]:
    """A server of one pod goes by its Service's name, which leads to nobody while it is away; the
    nodes of one that may have copies each by its own."""
    if server.engine != "mysql":
        yield _Pod(f"{server.name}-0", _service(server.name))
        return
    yield from _replicas(server.name, 1)
    yield from _replicas(readers(server.name), settings.mysql_of(server.name).replicas - 1)


def _replicas(name: str, count: int) -> Iterable[_Pod]:
    domain = f"{name}-headless.{DATA}.svc.cluster.local"
    return (_Pod(f"{name}-{number}", f"{name}-{number}.{domain}") for number in range(count))


def _service(name: str) -> str:
    return f"{name}.{DATA}.svc"


def _asked_for(server: Server, host: str) -> str:
    if server.engine == "redis":
        return redis_target(server)
    database = "/postgres" if server.engine == "postgres" else ""
    return f"{host}:{CLIENT_PORT[server.engine]}{database}"


def _target(server: Server, pod: str, address: str) -> dict[str, Any]:
    labels = {"job": server.name, "namespace": DATA, "pod": pod}
    return {"targets": [address], "labels": labels}


def _instance() -> Iterator[dict[str, Any]]:
    """The pod, not the exporter that all of them share."""
    yield {"source_labels": ["pod"], "target_label": "instance"}

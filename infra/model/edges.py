"""Who may talk to whom, as data that follows from the records.

For what draws the platform and for what guards it, so that neither has a list of its own. The
kubelet's probes are no edge: they come from the pod's own node.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from infra.model import objects, operations, variables
from infra.model.records import Records
from infra.model.servers import DATABASE_ENGINES, EXPORTERS, Engine, Server, dashed, proxy
from infra.model.services import Service

Kind = Literal[
    "service",
    "server",
    "job",
    "operation",
    "generator",
    "any",
    "dns",
    "kubernetes",
    "nodes",
    "monitoring",
    "logging",
    "outside",
]

CLIENT_PORT: Final[dict[Engine, int]] = {
    "postgres": 5432,
    "mysql": 3306,
    "kafka": 9092,
    "redis": 6379,
}
ADMIN_PORT: Final[dict[Engine, int]] = {
    "postgres": 5432,
    "mysql": 3306,
    "kafka": 9094,
    "redis": 6379,
}
"""Where a provisioning Job connects."""
PEER_PORTS: Final[dict[Engine, tuple[int, ...]]] = {"kafka": (9093, 9094), "mysql": (3306,)}
"""Between the pods of one server: KRaft's quorum, and replication."""
PROXY_PORT: Final = 3306
PROXY_METRICS_PORT: Final = 6070
"""Of ProxySQL, where the stack has it."""
EXPORTER_PORT: Final[dict[Engine, int]] = {"postgres": 9187, "mysql": 9104, "redis": 9121}
"""Of the one that asks all servers of that engine."""
AGENT_PORT: Final[dict[Engine, int]] = {"kafka": 9404}
"""Where every node tells of itself."""
ARCHIVER_PORT: Final = 8080
"""Where an archiver has its metrics."""
KUBELET_PORT: Final = 10250
PROMETHEUS_PORT: Final = 9090
ALERTMANAGER_PORT: Final = 9093
GRAFANA_PORT: Final = 3000
"""Of each kubelet, and of what watches."""
GENERATOR_PORT: Final = 5557
"""Where the load generator's workers find the one that leads them."""


@dataclass(frozen=True)
class End:
    """One side of an edge. `name` is empty where the kind says it all.

    A job runs with every change of the platform, an operation beside it: by the clock or by hand.
    """

    kind: Kind
    name: str = ""


@dataclass(frozen=True)
class Edge:
    """`source` may open connections to `port` of `target`'s pods."""

    source: End
    target: End
    port: int
    reason: str
    protocol: Literal["TCP", "UDP"] = "TCP"


COLLECTOR_PORT: Final = 4318
COLLECTOR_METRICS_PORTS: Final = (8888, 8889)
JAEGER_PORT: Final = 4317
JAEGER_QUERY_PORT: Final = 16686
JAEGER_METRICS_PORT: Final = 14269
LOKI_PORT: Final = 3100
LOG_READER_PORT: Final = 8888
"""Where Loki answers, and where who reads a node's logs has its metrics."""

_HERE: Final = "where the stack names no other store"
_KEPT: Final = "where the stack keeps logs"

EVERYTHING, DNS, OUTSIDE = End("any"), End("dns"), End("outside")
KUBERNETES, NODES = End("kubernetes"), End("nodes")
MONITORING, ALERTMANAGER, GRAFANA = (
    End("monitoring", name) for name in (objects.PROMETHEUS, objects.ALERTMANAGER, objects.GRAFANA)
)
"""What watches: Prometheus, which asks all others, who is told by it, and who shows it."""
COLLECTOR, JAEGER = End("monitoring", objects.COLLECTOR), End("monitoring", objects.JAEGER)
"""Where traces go."""
LOKI, LOG_READER = End("monitoring", objects.LOKI), End("logging", objects.LOG_READER)
"""Where logs go, and who brings them."""
GENERATOR = End("generator", "load-generator")
"""Where the stack has one, while a run is on."""


def edges(records: Records) -> tuple[Edge, ...]:
    """Every edge of the platform, each once."""
    found = (
        *(edge for service in records.services for edge in _of_service(records, service)),
        *(edge for server in records.servers for edge in _of_server(records, server)),
        *_of_monitoring(),
        *_of_traces(records),
        *_of_logs(),
        Edge(GENERATOR, GENERATOR, GENERATOR_PORT, "workers, to the one that leads them"),
        Edge(EVERYTHING, DNS, 53, "names", "UDP"),
        Edge(EVERYTHING, DNS, 53, "names whose answer is long"),
    )
    return tuple(dict.fromkeys(found))


def _of_service(records: Records, service: Service) -> Iterator[Edge]:
    here = End("service", service.name)
    for server in records.servers:
        if service.uses(server):
            yield from _of_data(here, server)
    for callee in records.services:
        if callee.name in service.calls:
            for port in callee.ports:
                yield Edge(here, End("service", callee.name), port.number, "calls it")
    for port in service.ports:
        if port.entry is not None:
            yield Edge(OUTSIDE, here, port.number, f"the entry {port.entry}")
            yield Edge(GENERATOR, here, port.number, f"a load run, as the entry {port.entry}")
    scraped = next((port for port in service.ports if port.protocol == "http"), None)
    if scraped is not None:
        yield Edge(MONITORING, here, scraped.number, "its metrics")
    if service.api_token:
        yield Edge(here, KUBERNETES, 443, "the Kubernetes API")


def _of_traces(records: Records) -> Iterator[Edge]:
    """Another store than Jaeger is the stack file's to say."""
    for service in filter(variables.makes_spans, records.services):
        yield Edge(End("service", service.name), COLLECTOR, COLLECTOR_PORT, "its spans")
    yield Edge(COLLECTOR, JAEGER, JAEGER_PORT, f"traces that are kept, {_HERE}")
    yield Edge(COLLECTOR, KUBERNETES, 443, "how objects are")
    for port in COLLECTOR_METRICS_PORTS:
        yield Edge(MONITORING, COLLECTOR, port, "its metrics, and those of objects and spans")
    yield Edge(MONITORING, JAEGER, JAEGER_METRICS_PORT, f"its metrics, {_HERE}")
    yield Edge(GRAFANA, JAEGER, JAEGER_QUERY_PORT, f"traces that it shows, {_HERE}")
    yield Edge(KUBERNETES, JAEGER, JAEGER_QUERY_PORT, f"one trace, by the API server, {_HERE}")


def _of_logs() -> Iterator[Edge]:
    """Where the stack keeps them."""
    yield Edge(LOG_READER, LOKI, LOKI_PORT, f"lines of logs, {_KEPT}")
    yield Edge(MONITORING, LOKI, LOKI_PORT, f"its metrics, {_KEPT}")
    yield Edge(MONITORING, LOG_READER, LOG_READER_PORT, f"its metrics, {_KEPT}")
    yield Edge(GRAFANA, LOKI, LOKI_PORT, f"lines that it shows, {_KEPT}")
    yield Edge(KUBERNETES, LOKI, LOKI_PORT, f"`make logs`, by way of the API server, {_KEPT}")


def _of_data(here: End, server: Server) -> Iterator[Edge]:
    """By way of its proxy, or where the stack has none, by itself."""
    yield Edge(here, End("server", server.name), CLIENT_PORT[server.engine], "its data")
    if server.proxied:
        yield Edge(here, End("server", proxy(server.name)), PROXY_PORT, "its data")


def _of_server(records: Records, server: Server) -> Iterator[Edge]:
    here = End("server", server.name)
    job = End("job", f"{server.name}-provision")
    yield Edge(job, here, ADMIN_PORT[server.engine], "brings its accounts about")
    if CLIENT_PORT[server.engine] != ADMIN_PORT[server.engine]:
        yield Edge(job, here, CLIENT_PORT[server.engine], "tries their passwords")
    if server.engine in DATABASE_ENGINES:
        for database in records.databases(server=server.name):
            job = End("job", f"migrate-{dashed(database)}")
            yield Edge(job, here, CLIENT_PORT[server.engine], f"migrates {database}")
        yield from _of_operations(records, server)
    if server.proxied:
        between = End("server", proxy(server.name))
        yield Edge(between, here, CLIENT_PORT[server.engine], "what services ask")
        follow = End("job", f"{proxy(server.name)}-follow")
        yield Edge(follow, between, PROXY_PORT, "sees that it goes by its routes")
        yield Edge(MONITORING, between, PROXY_METRICS_PORT, "its metrics")
    if server.engine in EXPORTERS:
        exporter = End("monitoring", EXPORTERS[server.engine])
        yield Edge(exporter, here, CLIENT_PORT[server.engine], "asks how it fares")
        yield Edge(MONITORING, exporter, EXPORTER_PORT[server.engine], "its metrics")
    if server.engine in AGENT_PORT:
        yield Edge(MONITORING, here, AGENT_PORT[server.engine], "its metrics")
    for port in PEER_PORTS.get(server.engine, ()):
        yield Edge(here, here, port, "its own pods, among themselves")


def _of_monitoring() -> Iterator[Edge]:
    """Whom Alertmanager tells is the stack file's to say. From outside there is a way in where the
    stack publishes one."""
    yield Edge(MONITORING, KUBERNETES, 443, "which pods and nodes there are")
    yield Edge(MONITORING, NODES, KUBELET_PORT, "what kubelets measure")
    yield Edge(MONITORING, MONITORING, PROMETHEUS_PORT, "its own metrics")
    yield Edge(MONITORING, ALERTMANAGER, ALERTMANAGER_PORT, "alerts, and its metrics")
    yield Edge(MONITORING, GRAFANA, GRAFANA_PORT, "its metrics")
    yield Edge(GRAFANA, MONITORING, PROMETHEUS_PORT, "what it shows")
    yield Edge(OUTSIDE, MONITORING, PROMETHEUS_PORT, "queries, where the stack publishes it")
    yield Edge(OUTSIDE, GRAFANA, GRAFANA_PORT, "dashboards, where the stack publishes it")


def _of_operations(records: Records, server: Server) -> Iterator[Edge]:
    """What runs at night and by hand. A bucket's address is the stack file's to say."""
    here, port = End("server", server.name), CLIENT_PORT[server.engine]
    for database in records.databases(server=server.name):
        archiver = End("operation", operations.archiver(server, database))
        for name, reason in (
            (operations.backup_job(server, database), "takes and proves backups"),
            (archiver.name, "archives the log of changes"),
            (operations.restore_job(database), f"restores {database}"),
            (operations.migrate_job(database), f"migrates {database} by hand"),
        ):
            yield Edge(End("operation", name), here, port, reason)
        yield Edge(MONITORING, archiver, ARCHIVER_PORT, "its metrics")

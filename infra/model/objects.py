"""The objects that follow from the records and have names of their own, so that none is two's.

Only kinds that come with every workload and server: where these differ, all others do.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from infra.model.servers import (
    BACKED_UP_WHOLE,
    DATABASE_ENGINES,
    EXPORTERS,
    Server,
    dashed,
    proxy,
    readers,
)
from infra.model.services import Service

Kind = Literal["ConfigMap", "Password", "Secret", "Service", "ServiceAccount"]
"""As Kubernetes calls them; a Password is one to Pulumi, in whatever namespaces it is read."""

DATA: Final = "data"
APPS: Final = "apps"
"""The platform's namespaces."""
ADMINISTRATOR: Final = "auth-administrator"
SIGNING_KEYS: Final = "auth-signing-keys"
"""What who issues tokens is given: the first administrator's secret, and what signs."""
BACKUP_JOBS: Final = ("backup", "archiver")
MONITORING: Final = "monitoring"
"""Of what watches the platform."""
PROMETHEUS: Final = "prometheus"
ALERTMANAGER: Final = "alertmanager"
GRAFANA: Final = "grafana"
COLLECTOR: Final = "collector"
JAEGER: Final = "jaeger"
LOKI: Final = "loki"
GRAFANA_ADMIN: Final = "grafana-admin"
"""What is in it, and the password of who may change things there."""
LOGGING: Final = "logging"
"""Of who reads the nodes' logs, where the stack keeps them: nodes lend a folder there."""
LOG_READER: Final = "log-reader"
"""What is in it."""
LOADTEST: Final = "loadtest"
"""The load generator's, where the stack has one."""


@dataclass(frozen=True)
class Made:
    """One object."""

    kind: Kind
    name: str
    namespace: str
    whose: str
    """The record it is made for, for messages."""


def of_server(server: Server, databases: tuple[str, ...]) -> Iterator[Made]:
    """Of one server and what provisions it, its `databases` included."""
    whose = f"the server {server.name}"
    yield from _nodes(server.name, whose)
    yield Made("Service", server.name, DATA, whose)
    yield Made("Secret", f"{server.name}-tls", DATA, whose)
    yield Made("ServiceAccount", f"{server.name}-provision", DATA, whose)
    yield Made("ConfigMap", f"{server.name}-provision-spec", DATA, whose)
    if server.engine == "redis":
        yield Made("Secret", f"{server.name}-acl", DATA, whose)
        yield from _password(f"{server.name}-health", whose, DATA)
        yield from _password(f"{server.name}-operator", whose, DATA)
    if server.engine == "kafka":
        # Whether there are any is the stack file's to say.
        yield from _nodes(f"{server.name}-controller", whose)
        yield Made("Secret", f"{server.name}-admin-tls", DATA, whose)
    if server.engine == "mysql":
        yield Made("Secret", f"{server.name}-health", DATA, whose)
        # Whether there are copies is the stack file's to say.
        yield from _nodes(readers(server.name), whose)
        yield Made("Service", readers(server.name), DATA, whose)
        yield Made("Secret", f"{server.name}-replication", DATA, whose)
    if server.proxied:
        # Whether there is one is the stack file's to say.
        name = proxy(server.name)
        yield from _nodes(name, whose)
        yield Made("Service", name, DATA, whose)
        yield Made("Secret", f"{name}-tls", DATA, whose)
        yield Made("Secret", f"{name}-routes", DATA, whose)
        yield from _job(f"{name}-follow", whose)
        yield from _password(f"{server.name}-monitor", whose, DATA)
    if server.engine in DATABASE_ENGINES:
        yield from _password(f"{server.name}-admin", whose, DATA)
        yield from _password(f"{server.name}-backup", whose, DATA)
        whole = server.engine in BACKED_UP_WHOLE
        for database in databases:
            whose = f"the database {database}"
            yield from _password(f"{server.name}-{dashed(database)}", whose, DATA, APPS)
            if server.engine == "mysql":
                yield from _password(f"{server.name}-{dashed(database)}-owner", whose, DATA, APPS)
            yield Made("ServiceAccount", f"migrate-{dashed(database)}", APPS, whose)
            # Whether there are backups is the stack file's to say.
            yield Made("ServiceAccount", f"{dashed(database)}-migrate", DATA, whose)
            for what in ("restore", *(() if whole else BACKUP_JOBS)):
                yield from _job(f"{dashed(database)}-{what}", whose)
        for what in BACKUP_JOBS if whole else ():
            yield from _job(f"{server.name}-{what}", f"the server {server.name}")


def of_exporters(servers: Iterable[Server]) -> Iterator[Made]:
    """The exporters, and their accounts on the servers."""
    for server in servers:
        if server.engine in EXPORTERS:
            whose = f"the server {server.name}"
            yield from _password(f"{server.name}-exporter", whose, DATA)
    for name in EXPORTERS.values():
        whose = f"the exporter {name}"
        yield Made("ServiceAccount", name, MONITORING, whose)
        yield Made("Service", name, MONITORING, whose)
        yield Made("Secret", f"{name}-tls", MONITORING, whose)
        yield Made("Secret", f"{name}-config", MONITORING, whose)


def of_service(service: Service) -> Iterator[Made]:
    whose = f"the service {service.name}"
    yield Made("ServiceAccount", service.name, APPS, whose)
    yield Made("Service", service.name, APPS, whose)
    if len({port.entry is None for port in service.ports}) > 1:
        yield Made("Service", f"{service.name}-internal", APPS, whose)
    if service.issues_tokens:
        yield from _password(ADMINISTRATOR, whose, APPS)
        yield Made("Secret", SIGNING_KEYS, APPS, whose)
    if service.uses_kafka:
        account = f"the Kafka account of {service.name}"
        yield from _password(f"kafka-{service.name}", account, DATA, APPS)
    for use in service.redis:
        account = f"the Redis binding {use.binding} of {service.name}"
        yield from _password(f"{use.binding}-{service.name}", account, DATA, APPS)


def of_monitoring() -> Iterator[Made]:
    """Of what watches the platform. Whether there are Grafana, Jaeger and Loki is the stack file's
    to say."""
    for name in (PROMETHEUS, ALERTMANAGER, GRAFANA, LOKI):
        whose = f"the platform's {name}"
        yield from _nodes(name, whose, MONITORING)
        yield Made("Service", name, MONITORING, whose)
        yield Made("Secret", f"{name}-tls", MONITORING, whose)
    yield from _password(GRAFANA_ADMIN, f"the platform's {GRAFANA}", MONITORING)
    yield Made("ServiceAccount", LOG_READER, LOGGING, f"the platform's {LOG_READER}")
    yield Made("ConfigMap", f"{LOG_READER}-config", LOGGING, f"the platform's {LOG_READER}")
    for name in (COLLECTOR, JAEGER):
        whose = f"the platform's {name}"
        yield Made("ServiceAccount", name, MONITORING, whose)
        yield Made("Service", name, MONITORING, whose)
        yield Made("Secret", f"{name}-tls", MONITORING, whose)
    yield Made("ConfigMap", f"{COLLECTOR}-config", MONITORING, f"the platform's {COLLECTOR}")


def collisions(made: Iterable[Made]) -> Iterator[str]:
    taken: dict[tuple[str, str, str], str] = {}
    told: set[tuple[str, str]] = set()
    for one in made:
        other = taken.setdefault((one.kind, one.namespace, one.name), one.whose)
        if other != one.whose and (other, one.whose) not in told:
            told.add((other, one.whose))
            yield (
                f"{other} and {one.whose} would both have the {one.kind} {one.name}, so one would "
                "replace the other; rename one of them"
            )


def _nodes(name: str, whose: str, namespace: str = DATA) -> Iterator[Made]:
    yield Made("ServiceAccount", name, namespace, whose)
    yield Made("ConfigMap", f"{name}-config", namespace, whose)
    yield Made("Service", f"{name}-headless", namespace, whose)


def _job(name: str, whose: str) -> Iterator[Made]:
    yield Made("ServiceAccount", name, DATA, whose)
    yield Made("ConfigMap", f"{name}-spec", DATA, whose)


def _password(name: str, whose: str, *namespaces: str) -> Iterator[Made]:
    yield Made("Password", name, "", whose)
    yield from (Made("Secret", name, namespace, whose) for namespace in namespaces)

"""A whole stack file, and what its sections must agree on."""

from typing import Annotated, Self

from pydantic import ValidationInfo, WithJsonSchema, model_validator

from infra.model import budget
from infra.model.servers import DATABASE_ENGINES, Server
from infra.model.settings.authentication import AuthenticationSettings
from infra.model.settings.backups import BackupSettings
from infra.model.settings.base import Settings, records
from infra.model.settings.cluster import EntrySettings, ImageSettings, KubernetesSettings
from infra.model.settings.loadtest import LoadtestSettings
from infra.model.settings.logs import LogsSettings
from infra.model.settings.monitoring import MonitoringSettings
from infra.model.settings.proxysql import ProxySQLSettings
from infra.model.settings.rotation import RotationSettings
from infra.model.settings.servers import (
    OWN_SECTION,
    KafkaSettings,
    MySQLSettings,
    PostgresSettings,
    RedisSettings,
    ServersSettings,
)
from infra.model.settings.services import ServicesSettings
from infra.model.settings.tracing import TracingSettings

# Pulumi quotes a top-level boolean when it writes the file (`pulumi config set`, a new salt), and
# hands it over as text either way.
_AS_PULUMI_WRITES_IT = WithJsonSchema({"enum": [True, False, "true", "false"]})


class PlatformSettings(Settings):
    """Everything under `millrace:` in one stack file."""

    kubernetes: KubernetesSettings
    images: ImageSettings
    kafka: KafkaSettings
    postgres: PostgresSettings
    redis: RedisSettings
    servers: ServersSettings
    proxysql: ProxySQLSettings
    services: ServicesSettings
    entry: EntrySettings
    authentication: AuthenticationSettings
    rotation: RotationSettings
    backups: BackupSettings
    monitoring: MonitoringSettings
    loadtest: LoadtestSettings
    tracing: TracingSettings
    logs: LogsSettings
    protect: Annotated[bool, _AS_PULUMI_WRITES_IT]
    """Refuse to delete or replace what holds data, whatever the program says."""

    @model_validator(mode="after")
    def _protected_means_kept(self) -> Self:
        """With `protect`, `kubernetes.volumeRetention` is `Retain`: protected StatefulSets whose
        volumes go with them would protect nothing."""
        if self.protect and self.kubernetes.volume_retention != "Retain":
            raise ValueError(
                "protect is true, but kubernetes.volumeRetention is Delete: the StatefulSets would "
                "be protected and their data not; set kubernetes.volumeRetention to Retain"
            )
        return self

    @model_validator(mode="after")
    def _protected_asks_for_tokens(self) -> Self:
        """With `protect`, `authentication.required` is true: data worth keeping is not for whoever
        finds the entry."""
        if self.protect and not self.authentication.required:
            raise ValueError(
                "protect is true, but authentication.required is false, so whoever reaches an "
                "entry could change what is protected; set authentication.required to true"
            )
        return self

    @model_validator(mode="after")
    def _protected_is_named(self) -> Self:
        """With `protect`, `kubernetes.context` is given: the kubeconfig's current one is whatever
        was looked at last, and no place for what must be kept."""
        if self.protect and self.kubernetes.context is None:
            raise ValueError(
                "protect is true, but kubernetes.context is not set, so this would go to whatever "
                "cluster the kubeconfig points at; set kubernetes.context to the cluster's context"
            )
        return self

    @model_validator(mode="after")
    def _protected_is_watched(self) -> Self:
        """With `protect`, `monitoring.pages` names a receiver: what must be kept is watched by
        somebody."""
        if self.protect and not self.monitoring.pages:
            raise ValueError(
                "protect is true, but monitoring.pages is empty, so nobody would be told when what "
                "is protected is in danger; add a receiver and name it in monitoring.pages"
            )
        return self

    @model_validator(mode="after")
    def _a_node_port_each(self) -> Self:
        """What watches has node ports of its own: the API server gives each once."""
        watching = {
            f"monitoring.{name}.nodePort": getattr(self.monitoring, name).node_port
            for name in ("prometheus", "grafana")
        }
        taken: dict[int, str] = {}
        if self.entry.type == "NodePort":
            taken |= {port: f"entry.ports.{name}" for name, port in self.entry.ports.items()}
        for key, port in watching.items():
            if port is None:
                continue
            if port in taken:
                raise ValueError(
                    f"{taken[port]} and {key} are both {port}, which can lead to one of them only; "
                    "change one"
                )
            taken[port] = key
        return self

    @model_validator(mode="after")
    def _connections_suffice(self, info: ValidationInfo) -> Self:
        """What the services and all others may open together fits into each server's
        `maxConnections`: twice a service's replicas during a rollout, times `databasePoolSize` and
        what its pods hold beside it; then superusers, Jobs and operators. Of a server with copies
        each node takes what leads to it: a copy all that the records send to copies."""
        population = records(info)
        for server in population.servers:
            if server.engine not in DATABASE_ENGINES:
                continue
            name = server.name
            size = self.mysql_of(name) if server.engine == "mysql" else self.postgres_of(name)
            nodes = size.replicas if isinstance(size, MySQLSettings) else 1
            kept = budget.of_others(population, server, nodes)
            most, own = size.max_connections, name == OWN_SECTION.get(server.engine)
            key = server.engine if own else f"servers.{server.engine}.{name}"
            if self.proxied(server):
                continue
            taken = budget.of_each_node(population, server, self.services.of, nodes)
            node, wanted = max(taken.items(), key=lambda item: item[1])
            if wanted + kept > most:
                where = f" to {node}" if nodes > 1 else ""
                raise ValueError(
                    f"the services may open {wanted} connections{where} (twice the replicas during "
                    "a rollout, times databasePoolSize and what they hold beside it), Jobs and "
                    f"operators {kept}, but {key}.maxConnections is {most}; raise it to "
                    f"{wanted + kept}, or lower replicas, or databasePoolSize where no record says "
                    "it"
                )
        return self

    @model_validator(mode="after")
    def _proxied_connections_suffice(self, info: ValidationInfo) -> Self:
        """With `proxysql`, what its replicas may open together fits into `maxConnections` of the
        server behind them, however many pods there are; and the pods fit into `maxClients` of one
        replica, as the others may be away."""
        population = records(info)
        for server in filter(self.proxied, population.servers):
            size = self.mysql_of(server.name)
            kept = budget.of_others(population, server, size.replicas)
            wanted = self.proxysql.of_each_node(source=True)
            if wanted + kept > size.max_connections:
                raise ValueError(
                    f"the {self.proxysql.replicas} replicas of ProxySQL may open {wanted} "
                    f"connections to {server.name}, Jobs and operators {kept}, but "
                    f"servers.mysql.{server.name}.maxConnections is {size.max_connections}; raise "
                    f"it to {wanted + kept}, or lower proxysql.connections"
                )
            clients = budget.of_services(population, server.name, self.services.of)
            if clients > self.proxysql.max_clients:
                raise ValueError(
                    f"the services may open {clients} connections to the ProxySQL of {server.name},"
                    f" but proxysql.maxClients is {self.proxysql.max_clients}; raise it to "
                    f"{clients}, or lower replicas or databasePoolSize"
                )
        return self

    @model_validator(mode="after")
    def _proxysql_has_an_image(self) -> Self:
        """With `proxysql.enabled: true` and images built here, `images.overrides.proxysql` is
        given: no package registry has it, so it is never built."""
        if self.proxysql.enabled is True and not self._has_proxysql:
            raise ValueError(
                "proxysql.enabled is true, but images.source is local, and ProxySQL is never built "
                "here; give an image in images.overrides.proxysql, or set enabled to given"
            )
        return self

    @property
    def _has_proxysql(self) -> bool:
        return self.images.source == "official" or "proxysql" in self.images.overrides

    def proxied(self, server: Server) -> bool:
        """Whether services reach it through ProxySQL."""
        return server.proxied and self.proxysql.enabled is not False and self._has_proxysql

    @property
    def shows_boards(self) -> bool:
        """Whether there is a Grafana: of packages it is not built."""
        return self.images.source == "official" or "grafana" in self.images.overrides

    def postgres_of(self, server: str) -> PostgresSettings:
        if server == OWN_SECTION["postgres"]:
            return self.postgres
        return self.servers.postgres.get(server) or PostgresSettings()

    def mysql_of(self, server: str) -> MySQLSettings:
        return self.servers.mysql.get(server) or MySQLSettings()

    def migration_seconds_of(self, server: Server) -> int:
        """How long one database's migrations may take on a server that holds databases."""
        sections = self.mysql_of if server.engine == "mysql" else self.postgres_of
        return sections(server.name).migration_seconds

    def redis_of(self, server: str) -> RedisSettings:
        if server == OWN_SECTION["redis"]:
            return self.redis
        return self.servers.redis.get(server) or RedisSettings()

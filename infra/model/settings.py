"""The shape of a stack file: frozen models, extra keys forbidden, one validator per failure.

What a stack file leaves out is filled in here: `Pulumi.yaml` declares every top-level key without
a default (so each stack file names all of them), and the nested defaults are the ones below. Keys
are camelCase in YAML, as everywhere in Pulumi, and snake_case in Python.

The docstrings of fields and validators are the text of docs/configuration.md and of the JSON
schema (`make docs`): a validator's says what it insists on and why.

Secrets never enter these models: passwords come from `pulumi-random`, certificates from
`pulumi-tls`, both as Outputs.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    RootModel,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from components.kit import rules
from components.kit.quantities import amount
from components.kit.references import check_reference
from infra.model import budget
from infra.model.images import IMAGE_NAMES
from infra.model.records import RECORDS, Records
from infra.model.servers import Engine

# Pulumi quotes a top-level boolean when it writes the file (`pulumi config set`, a new salt), and
# hands it over as text either way.
_AS_PULUMI_WRITES_IT = WithJsonSchema({"enum": [True, False, "true", "false"]})


def _cores(quantity: str) -> str:
    """Cores, like `250m` or `1`."""
    if amount(quantity) < 0.001 or quantity[-1] in "kMGTi":
        raise ValueError(f"{quantity!r} is not a number of cores; write it like '250m' or '1'")
    return quantity


def _bytes(quantity: str) -> str:
    """Bytes, like `512Mi` or `2Gi`; at least `1Mi`."""
    if amount(quantity) < 2**20:
        raise ValueError(f"{quantity!r} is less than 1Mi; write it like '512Mi' or '2Gi'")
    return quantity


Cpu = Annotated[str, AfterValidator(_cores)]
Bytes = Annotated[str, AfterValidator(_bytes)]
ImageReference = Annotated[str, AfterValidator(check_reference)]
Labelled = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")]
Incarnation = Annotated[int, Field(ge=1)]
NODE_PORTS = range(30000, 32768)
NUMBER, RANGE = "(number)", "(range)"
"""Parts of an error's location that no stack file has: the shape a value was taken for."""
OWN_SECTION: Final[Mapping[Engine, str]] = {"postgres": "postgres", "redis": "redis-cache"}
"""Engine to the server that its section of the stack file is about."""


def _records(info: ValidationInfo) -> Records:
    """The population the document is about: the platform's own, unless the caller has another."""
    return cast("Mapping[str, Records]", info.context or {}).get("records", RECORDS)


def _keys(names: tuple[str, ...]) -> Any:
    """Tells editors and the reference which keys a table may have."""
    return Field(json_schema_extra={"propertyNames": {"enum": list(names)}})


class Settings(BaseModel):
    """Base of all: immutable, strict about types, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        use_attribute_docstrings=True,
    )


class Amounts(Settings):
    """How much of the machine: cores and bytes, in Kubernetes' notation."""

    cpu: Cpu
    """Processor time."""
    memory: Bytes
    """Memory."""


class ResourceSettings(Settings):
    """Requests and limits of one container."""

    requests: Amounts
    """What the scheduler keeps free for the container."""
    limits: Amounts
    """What the container may use at most."""

    @model_validator(mode="after")
    def _limits_hold_requests(self) -> Self:
        """Each of `limits` is at least what `requests` says; the API server refuses less."""
        for what in ("cpu", "memory"):
            request, limit = getattr(self.requests, what), getattr(self.limits, what)
            rules.check_limit(f"limits.{what}", limit, f"requests.{what}", request)
        return self


def _resources(cpu: str, memory: str, cpu_limit: str, memory_limit: str) -> ResourceSettings:
    return ResourceSettings(
        requests=Amounts(cpu=cpu, memory=memory), limits=Amounts(cpu=cpu_limit, memory=memory_limit)
    )


class KubernetesSettings(Settings):
    """Which cluster, and what its volumes are like."""

    context: str | None = None
    """Context of the kubeconfig; absent: its current context."""
    cluster_identifier: Labelled | None = None
    """Name under which Pulumi knows the cluster: only a new name replaces the provider and with it
    every object. Absent: the environment's MILLRACE_CLUSTER_ID (the bootstrap's cluster)."""
    storage_class: str | None = None
    """StorageClass of every volume claim; absent: the cluster's default class."""
    volume_retention: Literal["Retain", "Delete"] = "Delete"
    """What happens to a StatefulSet's claims when it is deleted or scaled down."""
    spread: Literal["hosts", "prefer"] = "hosts"
    """hosts: no host gets two brokers or two controllers; what finds no host of its own waits.
    prefer: where hosts are too few they share, so that a single one can run several brokers."""


class ImageSettings(Settings):
    """Where container images come from. One entry in `overrides` wins over everything else."""

    source: Literal["official", "local"]
    """official: the catalogue's references (by digest once `make pin` has found them).
    local: the ones `make up` built, listed in the file MILLRACE_IMAGES_FILE names."""
    overrides: Annotated[dict[str, ImageReference], _keys(IMAGE_NAMES)] = {}
    """Catalogue name to full reference, with a digest or an exact tag. An override of `services`
    also means that the image is not built here."""

    pull_secrets: tuple[Labelled, ...] = ()
    """Secrets (type kubernetes.io/dockerconfigjson) that open the registry of these images. The
    cluster's owner makes them, by these names in the namespaces data and apps; every pod uses
    them."""

    @field_validator("overrides")
    @classmethod
    def _known_names(cls, overrides: dict[str, str]) -> dict[str, str]:
        """Every key of `overrides` is a name of the image catalogue."""
        for name in overrides:
            if name not in IMAGE_NAMES:
                raise ValueError(_unknown("image", name, IMAGE_NAMES))
        return overrides


class KafkaSettings(Settings):
    """The Kafka cluster (KRaft)."""

    brokers: Annotated[int, Field(ge=1, le=9)] = 1
    """Nodes that hold the topics' partitions."""
    controllers: Annotated[int, Field(ge=0, le=5)] = 0
    """Dedicated controllers; 0: the brokers are controllers too (combined mode). Their number is
    decided when the cluster is made: a change is refused (docs/decisions/0017)."""
    replication_factor: Annotated[int, Field(ge=1, le=5)] = 1
    """Copies of every partition, Kafka's own topics included."""
    min_insync_replicas: Annotated[int, Field(ge=1, le=4)] = 1
    """Copies that must hold a message before it is acknowledged."""
    partitions: Annotated[int, Field(ge=1, le=256)] = 6
    """Of every topic. Raising it later moves keys to other partitions, so order per key is only
    promised among events written after the change."""
    retention_hours: Annotated[int, Field(ge=1)] = 168
    """How long topics keep their messages."""
    heap: Bytes = "512Mi"
    """Java heap of a broker; a quarter of the memory limit must stay free for everything else."""
    controller_heap: Bytes = "256Mi"
    """The same of a dedicated controller."""
    resources: ResourceSettings = _resources("250m", "1Gi", "2", "1536Mi")
    """Of a broker."""
    controller_resources: ResourceSettings = _resources("100m", "512Mi", "1", "768Mi")
    """Of a dedicated controller."""
    storage: Bytes = "5Gi"
    """Volume of a broker; how to let it grow is in the README."""
    controller_storage: Bytes = "1Gi"
    """Volume of a dedicated controller."""
    incarnation: Incarnation = 1
    """Raise it by one after all volumes were lost: topics, users and ACLs are made again."""

    @model_validator(mode="after")
    def _quorum_can_elect(self) -> Self:
        """The number of voters (`controllers`, or `brokers` in combined mode) is odd: an even
        quorum tolerates no more failures than one node less, and can split."""
        rules.check_quorum(brokers=self.brokers, controllers=self.controllers)
        return self

    @model_validator(mode="after")
    def _replicas_fit(self) -> Self:
        """`replicationFactor` is at most `brokers`, or no topic could be created; and
        `minInsyncReplicas` is below it (1 with a single copy), or one broker's restart would stop
        all writes."""
        rules.check_copies(
            brokers=self.brokers,
            factor=self.replication_factor,
            factor_key="replicationFactor",
            minimum=self.min_insync_replicas,
            minimum_key="minInsyncReplicas",
        )
        return self

    @model_validator(mode="after")
    def _heap_fits(self) -> Self:
        """`heap` (with controllers, `controllerHeap`) is at most 75 % of its container's memory
        limit: Java needs the rest, and the kernel kills what exceeds the limit."""
        _check_share("heap", self.heap, self.resources, 0.75)
        if self.controllers:
            _check_share("controllerHeap", self.controller_heap, self.controller_resources, 0.75)
        return self


class PostgresSettings(Settings):
    """The PostgreSQL server; one role and one database per service that asks for one."""

    max_connections: Annotated[int, Field(ge=20, le=5000)] = 200
    """Of all services together, and of Jobs and operators."""
    shared_buffers: Bytes = "128Mi"
    """PostgreSQL's own page cache."""
    resources: ResourceSettings = _resources("100m", "256Mi", "2", "1Gi")
    """Of the server."""
    storage: Bytes = "5Gi"
    """Its volume; how to let it grow is in the README."""
    migration_seconds: Annotated[int, Field(ge=60)] = 300
    """How long one database's migrations may take, all attempts and the image pull included. What
    outlasts it is rolled back and would never get through: large tables need more."""
    incarnation: Incarnation = 1
    """Raise it by one after the volume was lost: roles, databases and tables are made again."""

    @model_validator(mode="after")
    def _buffers_fit(self) -> Self:
        """`sharedBuffers` is at most 50 % of the memory limit: sessions and sorts need the rest."""
        _check_share("sharedBuffers", self.shared_buffers, self.resources, 0.5)
        return self


class RedisSettings(Settings):
    """The cache. It holds nothing that cannot be read from PostgreSQL again."""

    max_memory: Bytes = "128Mi"
    """Beyond it the least recently used keys go."""
    resources: ResourceSettings = _resources("50m", "64Mi", "500m", "256Mi")
    """Of the server."""

    @model_validator(mode="after")
    def _memory_fits(self) -> Self:
        """`maxMemory` is at most 75 % of the memory limit: keys must go before the kernel kills the
        server."""
        _check_share("maxMemory", self.max_memory, self.resources, 0.75)
        return self


class ServersSettings(Settings):
    """Sizes of further servers: those in infra/model/servers.py that have no section of their own.
    A server that is not listed gets the defaults."""

    postgres: dict[str, PostgresSettings] = {}
    """Name of a PostgreSQL server to what `millrace:postgres` says of the one of that name."""
    redis: dict[str, RedisSettings] = {}
    """Name of a Redis server to what `millrace:redis` says of `redis-cache`."""

    @model_validator(mode="after")
    def _known_names(self, info: ValidationInfo) -> Self:
        """Every key is the name of a server of that engine, beside `postgres` and `redis-cache`,
        which have sections of their own."""
        tables: Mapping[Engine, Mapping[str, object]]
        tables = {"postgres": self.postgres, "redis": self.redis}
        for engine, listed in tables.items():
            own = OWN_SECTION[engine]
            known = tuple(n for n in _records(info).server_names(engine) if n != own)
            for name in listed:
                if name == own:
                    raise ValueError(f"{name} has a section of its own; write millrace:{engine}")
                if name not in known:
                    raise ValueError(_unknown(f"{engine} server", name, known))
        return self


class ReplicaRange(Settings):
    """A range of replicas"""

    min: Annotated[int, Field(ge=1, le=100)]
    """Pods when there is little to do."""
    max: Annotated[int, Field(ge=2, le=100)]
    """Pods at most; what they may connect to counts this many."""
    cpu_percent: Annotated[int, Field(ge=10, le=100)] = 70
    """Of the requested processor time: above it, on average, pods are added."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        """`max` is above `min`; a fixed number is written as a number."""
        if self.max <= self.min:
            raise ValueError(
                f"max ({self.max}) is not above min ({self.min}), so nothing would scale; raise "
                "max, or write replicas as a number"
            )
        return self


Replicas = Annotated[
    Annotated[int, Field(ge=1, le=100), Tag(NUMBER)] | Annotated[ReplicaRange, Tag(RANGE)],
    Discriminator(lambda given: RANGE if isinstance(given, dict | ReplicaRange) else NUMBER),
]


class ServiceSettings(Settings):
    """Size of one service; what it does is in infra/model/services.py."""

    replicas: Replicas = 2
    """Pods. A range is moved in by an autoscaler, which takes a cluster with the metrics API. Two
    or more also get a disruption budget."""
    resources: ResourceSettings = _resources("100m", "256Mi", "1", "512Mi")
    """Of a pod."""
    database_pool_size: Annotated[int, Field(ge=1, le=200)] = 10
    """Connections to PostgreSQL, per pod."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The lowest level that is logged."""

    @property
    def most_replicas(self) -> int:
        return self.replicas if isinstance(self.replicas, int) else self.replicas.max


class ServicesSettings(RootModel[dict[str, ServiceSettings]]):
    """Service name to its size. A service that is not listed gets the defaults."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        json_schema_extra={"propertyNames": {"enum": list(RECORDS.service_names)}},
    )

    @model_validator(mode="after")
    def _known_names(self, info: ValidationInfo) -> Self:
        """Every key is the name of a service."""
        known = _records(info).service_names
        for name in self.root:
            if name not in known:
                raise ValueError(_unknown("service", name, known))
        return self

    def of(self, name: str) -> ServiceSettings:
        return self.root.get(name) or ServiceSettings()


class EntrySettings(Settings):
    """How the world reaches the published services."""

    type: Literal["NodePort", "LoadBalancer"] = "NodePort"
    """Of the published Service."""
    host: Labelled = "localhost"
    """Name or address in the URLs this stack puts out."""
    ports: dict[str, Annotated[int, Field(ge=1, le=65535)]] = {"http": 30080}
    """Entry's name, as the services' records have it, to its port. NodePort: the port on every
    node. LoadBalancer: the port it listens on."""
    tls: bool = False
    """The load balancer ends TLS itself (say how in `annotations`), so URLs are https."""
    annotations: dict[str, str] = {}
    """Annotations of the published Service, for the cloud's load balancer controller."""

    @model_validator(mode="after")
    def _port_suits_type(self) -> Self:
        """With `NodePort`, `ports` are from 30000 to 32767, the only ones that the API server
        hands out. `tls` takes `LoadBalancer` and annotations: nothing else here would end TLS."""
        for name, port in self.ports.items():
            if self.type == "NodePort" and port not in NODE_PORTS:
                raise ValueError(
                    f"ports.{name} is {port}, but the API server only hands out node ports from "
                    f"{NODE_PORTS.start} to {NODE_PORTS.stop - 1}; choose one of those, or set "
                    "type to LoadBalancer"
                )
        if self.tls and (self.type == "NodePort" or not self.annotations):
            raise ValueError(
                "tls is true, but nothing would end TLS: it takes type LoadBalancer and the "
                "annotations that give the load balancer its certificate; add them or set tls "
                "to false"
            )
        return self

    @model_validator(mode="after")
    def _a_port_each(self, info: ValidationInfo) -> Self:
        """`ports` has every entry that leads to a service and no other, each with a port of its
        own: the API server gives a node port once, and a URL names one service."""
        wanted = _records(info).entries()
        for name in wanted:
            if name not in self.ports:
                raise ValueError(
                    f"ports lacks {name}, which leads to a service; add `{name}:` and its port"
                )
        for name in self.ports:
            if name not in wanted:
                raise ValueError(_unknown("entry", name, wanted))
        names: dict[int, str] = {}
        for name, port in self.ports.items():
            if port in names:
                raise ValueError(
                    f"ports.{names[port]} and ports.{name} are both {port}, which can lead to one "
                    "of them only; change one"
                )
            names[port] = name
        return self


class PlatformSettings(Settings):
    """Everything under `millrace:` in one stack file."""

    kubernetes: KubernetesSettings
    images: ImageSettings
    kafka: KafkaSettings
    postgres: PostgresSettings
    redis: RedisSettings
    servers: ServersSettings
    services: ServicesSettings
    entry: EntrySettings
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
    def _connections_suffice(self, info: ValidationInfo) -> Self:
        """What the services and all others may open together fits into each server's
        `maxConnections`: twice a service's replicas during a rollout, times `databasePoolSize` and
        what its pods hold beside it; then superusers, Jobs and operators."""
        records = _records(info)
        for name in records.server_names("postgres"):
            wanted = budget.of_services(records, name, self.services.of)
            kept, most = budget.of_others(records, name), self.postgres_of(name).max_connections
            key = "postgres" if name == OWN_SECTION["postgres"] else f"servers.postgres.{name}"
            if wanted + kept > most:
                raise ValueError(
                    f"the services may open {wanted} connections (twice the replicas during a "
                    "rollout, times databasePoolSize and what they hold beside it), Jobs and "
                    f"operators {kept}, but {key}.maxConnections is {most}; raise it to "
                    f"{wanted + kept} or lower databasePoolSize or replicas"
                )
        return self

    def postgres_of(self, server: str) -> PostgresSettings:
        if server == OWN_SECTION["postgres"]:
            return self.postgres
        return self.servers.postgres.get(server) or PostgresSettings()

    def redis_of(self, server: str) -> RedisSettings:
        if server == OWN_SECTION["redis"]:
            return self.redis
        return self.servers.redis.get(server) or RedisSettings()


def _unknown(what: str, name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"there is no {what} {name!r}; {hint}known: {', '.join(known) or 'none'}"


def _check_share(key: str, value: str, resources: ResourceSettings, share: float) -> None:
    rules.check_share(key, value, "limits.memory", resources.limits.memory, share)

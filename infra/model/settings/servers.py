"""Sections of a stack file: the data servers."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationInfo, model_validator

from components.kit import rules
from infra.model.servers import Engine
from infra.model.settings.base import (
    Bytes,
    Incarnation,
    ResourceSettings,
    Settings,
    check_share,
    records,
    size,
    unknown,
)

OWN_SECTION: Final[Mapping[Engine, str]] = {"postgres": "postgres", "redis": "redis-cache"}
"""Engine to the server that its section of the stack file is about."""


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
    resources: ResourceSettings = size("250m", "1Gi", "2", "1536Mi")
    """Of a broker."""
    controller_resources: ResourceSettings = size("100m", "512Mi", "1", "768Mi")
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
        check_share("heap", self.heap, self.resources, 0.75)
        if self.controllers:
            check_share("controllerHeap", self.controller_heap, self.controller_resources, 0.75)
        return self


class PostgresSettings(Settings):
    """The PostgreSQL server; one role and one database per service that asks for one."""

    max_connections: Annotated[int, Field(ge=20, le=5000)] = 300
    """Of all services together, and of Jobs and operators."""
    shared_buffers: Bytes = "128Mi"
    """PostgreSQL's own page cache."""
    resources: ResourceSettings = size("100m", "256Mi", "2", "1Gi")
    """Of the server."""
    storage: Bytes = "5Gi"
    """Its volume; how to let it grow is in the README."""
    flushes_per_second: Annotated[int, Field(ge=10, le=1000)] | None = None
    """Makes a slow disk of any: at most about so many flushes of the write-ahead log a second, each
    with all commits that wait for it (`commit_delay`). None: as many as the disk takes."""
    migration_seconds: Annotated[int, Field(ge=60)] = 300
    """How long one database's migrations may take, all attempts and the image pull included. What
    outlasts it is rolled back and would never get through: large tables need more."""
    incarnation: Incarnation = 1
    """Raise it by one after the volume was lost: roles, databases and tables are made again."""

    @model_validator(mode="after")
    def _buffers_fit(self) -> Self:
        """`sharedBuffers` is at most 50 % of the memory limit: sessions and sorts need the rest."""
        check_share("sharedBuffers", self.shared_buffers, self.resources, 0.5)
        return self


class MySQLSettings(Settings):
    """A MySQL server; per database one account for services and one for migrations."""

    replicas: Annotated[int, Field(ge=1, le=5)] = 1
    """One is the source; the others are read-only copies of it, which serve the reads that records
    send there."""
    max_lag_seconds: Annotated[int, Field(ge=1, le=86400)] = 30
    """A copy that is further behind the source gets no reads until it has caught up."""
    max_connections: Annotated[int, Field(ge=20, le=5000)] = 50
    """Of each node: of all services together that are led to it, and of Jobs and operators."""
    buffer_pool: Bytes = "256Mi"
    """InnoDB's own page cache."""
    binlog_retention_hours: Annotated[int, Field(ge=1)] = 72
    """How long the binary log is kept: for replicas that are away, and for who archives it."""
    resources: ResourceSettings = size("100m", "640Mi", "2", "1Gi")
    """Of a node."""
    storage: Bytes = "5Gi"
    """Its volume; how to let it grow is in the README."""
    migration_seconds: Annotated[int, Field(ge=60)] = 300
    """How long one database's migrations may take, all attempts and the image pull included."""
    incarnation: Incarnation = 1
    """Raise it by one after the volume was lost: accounts, databases and tables are made again."""

    @model_validator(mode="after")
    def _buffers_fit(self) -> Self:
        """`bufferPool` is at most 50 % of the memory limit: its own books, sessions and sorts need
        the rest."""
        check_share("bufferPool", self.buffer_pool, self.resources, 0.5)
        return self


class RedisSettings(Settings):
    """A Redis server: the cache, which holds nothing that cannot be read from PostgreSQL again, or
    one that keeps what it holds (`servers.redis.redis-stream`)."""

    max_memory: Bytes = "128Mi"
    """Beyond it a cache drops its least recently used keys, and a server that keeps refuses
    writes."""
    storage: Bytes = "2Gi"
    """Volume of a server that keeps: its append-only file, and the next one while it is written."""
    append_fsync: Literal["always", "everysec"] = "always"
    """When a server that keeps flushes to its disk. `always`: before it answers, so nothing
    acknowledged is lost with its machine. `everysec`: what was acknowledged in the last second is,
    or in the last two while a flush is slow; with the process alone nothing."""
    resources: ResourceSettings = size("50m", "64Mi", "500m", "256Mi")
    """Of the server."""

    @model_validator(mode="after")
    def _memory_fits(self) -> Self:
        """`maxMemory` is at most 75 % of the memory limit: keys must go before the kernel kills the
        server."""
        check_share("maxMemory", self.max_memory, self.resources, 0.75)
        return self


class ServersSettings(Settings):
    """Sizes of further servers: those in infra/model/servers.py that have no section of their own.
    A server that is not listed gets the defaults."""

    postgres: Mapping[str, PostgresSettings] = {}
    """Name of a PostgreSQL server to what `millrace:postgres` says of the one of that name."""
    mysql: Mapping[str, MySQLSettings] = {}
    """Name of a MySQL server to its sizes."""
    redis: Mapping[str, RedisSettings] = {}
    """Name of a Redis server to what `millrace:redis` says of `redis-cache`."""

    @model_validator(mode="after")
    def _known_names(self, info: ValidationInfo) -> Self:
        """Every key is the name of a server of that engine, beside `postgres` and `redis-cache`,
        which have sections of their own."""
        tables: Mapping[Engine, Mapping[str, object]]
        tables = {"postgres": self.postgres, "mysql": self.mysql, "redis": self.redis}
        for engine, listed in tables.items():
            own = OWN_SECTION.get(engine)
            known = tuple(n for n in records(info).server_names(engine=engine) if n != own)
            for name in listed:
                if name == own:
                    raise ValueError(f"{name} has a section of its own; write millrace:{engine}")
                if name not in known:
                    raise ValueError(unknown(f"{engine} server", name, known))
        return self

"""The Python services of the platform, each as one declarative record.

A record says what a service runs, what it uses and who reaches it. Everything else (roles,
accounts and ACLs, topics, mounted secrets, probes, disruption budget, migration Job) follows from
it. Plain data: no Pulumi here, so that the settings can check names and budgets with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from infra.model.servers import DATABASE_ENGINES, Server
from services.contracts.topics import DEAD_LETTER, RESOURCE_EVENTS, TASK_EVENTS

CACHE_COMMANDS: Final = ("get", "mget", "set", "eval", "evalsha", "script|load")
"""What cache-aside with a version check takes: reads, and a script that reads and writes."""
INLET_COMMANDS: Final = (
    *("evalsha", "script|load"),
    *("xlen", "xadd", "hget", "hset", "hstrlen", "persist"),
    *("memory|stats", "xinfo|groups"),
)
"""What it takes to put documents into the stream, to see those that wait, and when it is full."""
OUTLET_COMMANDS: Final = (
    *("evalsha", "script|load", "time"),
    *("xreadgroup", "xgroup|create", "xgroup|delconsumer", "xinfo|consumers"),
    *("xack", "xdel", "xautoclaim", "xclaim", "xpending"),
    *("xadd", "xrange", "xrevrange", "xlen"),
    *("hget", "hset", "hstrlen", "del", "pexpire", "get", "set"),
)
"""What it takes to empty the stream in a group, to settle what is stored, and to set aside what
cannot be."""


@dataclass(frozen=True)
class DatabaseUse:
    """A database of a service. There is one of its name on all servers.

    Of PostgreSQL's the name is also that of the role that owns it. MySQL's has two accounts,
    `<name>_user` for services, which changes no table, and `<name>_owner` for migrations.
    """

    name: str
    server: str = "postgres"
    extra_connections: int = 0
    """Bindings that a pod holds outside its pool."""
    owns_migrations: bool = False
    """Whether the database's revisions lie in `migrations` of this service's package. They run
    before any service that uses the database rolls."""
    binding: str = "database"
    """Names its variables (`data-store`: DATA_STORE_HOST, …) and its mounted password. A service
    that uses two databases tells them apart by it."""
    pool_size: int | None = None
    """Connections of a pod, where the work sets them rather than the stack: in place of
    databasePoolSize."""
    backups_prefix: str | None = None
    """What names of its backups begin with, in the record that owns migrations; else its own name.
    Servers that are backed up whole give theirs."""


@dataclass(frozen=True)
class RedisUse:
    """What a service may do on one Redis server: these commands, on keys of these patterns."""

    server: str
    keys: tuple[str, ...]
    commands: tuple[str, ...]
    binding: str = "redis"
    """Names its variables (`redis-stream`: REDIS_STREAM_HOST, …) and its Secret. A service that
    uses two servers tells them apart by it."""
    memory_variable: str | None = None
    """Tells the service in bytes how much the server may hold, so that it can stop before."""


@dataclass(frozen=True)
class Port:
    """A port the service listens on, and hears of as <NAME>_PORT. The first for HTTP is `http`."""

    name: str
    number: int
    protocol: Literal["http", "grpc"] = "http"
    entry: str | None = None
    """The port of the stack's entry that leads here from outside the cluster; None: no one."""


HTTP: Final = Port("http", 8080)


@dataclass(frozen=True)
class Sidecar:
    """A helper in every pod of a service: it starts before the service and stops after it."""

    name: str
    image: str
    """A name of the image catalogue."""
    command: tuple[str, ...] = ()
    """Empty: the image's own."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    cpu: tuple[str, str] = ("50m", "500m")
    """Request and limit."""
    memory: tuple[str, str] = ("64Mi", "128Mi")
    """Request and limit."""


@dataclass(frozen=True)
class Service:
    """One Python service: what it runs and which shared systems it may reach.

    Topics named here exist because they are named here, and the account of the same name as the
    service may do with them exactly what the record says.
    """

    name: str
    package: str
    """Its folder in `services`; several services may run the same."""
    databases: tuple[DatabaseUse, ...] = ()
    redis: tuple[RedisUse, ...] = ()
    produces: tuple[str, ...] = ()
    consumes: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    """Other services it calls inside the cluster. What it uses of servers says so itself."""
    ports: tuple[Port, ...] = (HTTP,)
    """Probes ask the first one, by its protocol."""
    sidecars: tuple[Sidecar, ...] = ()
    api_token: bool = False
    """Whether its pods may talk to the Kubernetes API."""
    issues_tokens: bool = False
    """Whether it is given the keys that sign, and the first administrator's secret."""
    pod_name_env: tuple[str, ...] = ()
    """Variables that carry the pod's name, which tells the instances of a service apart."""

    @property
    def command(self) -> tuple[str, ...]:
        return ("python", "-m", f"services.{self.package}")

    @property
    def uses_kafka(self) -> bool:
        return bool(self.produces or self.consumes)

    def uses(self, server: Server) -> bool:
        if server.engine in DATABASE_ENGINES:
            return any(use.server == server.name for use in self.databases)
        if server.engine == "kafka":
            return self.uses_kafka
        return any(use.server == server.name for use in self.redis)


SERVICES: Final = (
    Service(
        name="rest-service",
        package="rest_service",
        databases=(
            DatabaseUse("restdb", owns_migrations=True),
            DatabaseUse("datadb", server="data-store", binding="data-store", pool_size=10),
        ),
        redis=(
            RedisUse("redis-cache", keys=("resource:*", "synchronous:*"), commands=CACHE_COMMANDS),
        ),
        calls=("auth-service",),
        ports=(Port("http", 8080, entry="http"),),
    ),
    Service(
        name="ingest-service",
        package="ingest_service",
        databases=(DatabaseUse("datadb", server="data-store"),),
        redis=(
            RedisUse(
                "redis-stream",
                keys=("data:*",),
                commands=INLET_COMMANDS,
                memory_variable="INGEST_MEMORY_BYTES",
                binding="redis-stream",
            ),
            RedisUse("redis-cache", keys=("document:*",), commands=("mget", "set")),
        ),
        calls=("auth-service",),
        ports=(Port("http", 8080, entry="data"),),
    ),
    Service(
        name="auth-service",
        package="auth_service",
        databases=(
            DatabaseUse(
                "client_db",
                server="client-database",
                owns_migrations=True,
                pool_size=25,
                backups_prefix="clients",
            ),
        ),
        ports=(Port("http", 8080, entry="auth"),),
        issues_tokens=True,
    ),
    Service(
        name="stream-writer",
        package="stream_writer",
        databases=(DatabaseUse("datadb", server="data-store", owns_migrations=True),),
        redis=(
            RedisUse(
                "redis-stream",
                keys=("data:*",),
                commands=OUTLET_COMMANDS,
                binding="redis-stream",
            ),
        ),
        pod_name_env=("WRITER_ID",),
    ),
    Service(
        name="outbox-relay-rest",
        package="outbox_relay",
        # LISTEN takes one more: a pool takes its connections back, and the wake-ups with it.
        databases=(DatabaseUse("restdb", extra_connections=1),),
        produces=RESOURCE_EVENTS,
        pod_name_env=("RELAY_ID",),
    ),
    Service(
        name="event-worker",
        package="event_worker",
        databases=(DatabaseUse("workerdb", owns_migrations=True),),
        consumes=RESOURCE_EVENTS + TASK_EVENTS,
        produces=(DEAD_LETTER,),
        pod_name_env=("KAFKA_GROUP_INSTANCE_ID",),
    ),
)

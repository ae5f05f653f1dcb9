"""The Python services of the platform, each as one declarative record.

A record says what a service runs, what it uses and who reaches it. Everything else (roles,
accounts and ACLs, topics, mounted secrets, probes, disruption budget, migration Job) follows from
it. Plain data: no Pulumi here, so that the settings can check names and budgets with it.
"""

from dataclasses import dataclass
from typing import Final

from infra.model.servers import DATABASE_ENGINES, Server
from infra.model.uses import HTTP, DatabaseUse, Port, RedisUse, Sidecar
from services.contracts.topics import (
    DEAD_LETTER,
    RESOURCE_EVENTS,
    TASK_EVENTS,
    TELEMETRY_DEAD_LETTER,
    TELEMETRY_POINTS,
)

CACHE_COMMANDS: Final = ("get", "mget", "set", "eval", "evalsha", "script|load")
"""What cache-aside with a version check takes: reads, and a script that reads and writes."""
LIMIT_COMMANDS: Final = (
    *("evalsha", "script|load", "time", "get", "set"),
    *("zadd", "zcard", "zremrangebyscore", "pexpire"),
)
"""What it takes to hold clients to a rate: a script that knows the time, what each client has left,
and which pods there are."""
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
    dead_letter: str | None = DEAD_LETTER
    """The topic into which who consumes puts what it cannot process. None: it sets nothing aside,
    as another consumer of the same topics does."""
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
            RedisUse(
                "redis-cache",
                keys=("resource:*", "synchronous:*", "limit:rest-service:*"),
                commands=(*CACHE_COMMANDS, *LIMIT_COMMANDS),
            ),
        ),
        calls=("auth-service",),
        ports=(Port("http", 8080, entry="http"),),
    ),
    Service(
        name="ingest-service",
        package="ingest_service",
        databases=(
            DatabaseUse("datadb", server="data-store"),
            # For reads that must see what was just written; all others go to the copies.
            DatabaseUse("telemetry", server="telemetry-database", binding="telemetry", pool_size=2),
            DatabaseUse(
                "telemetry",
                server="telemetry-database",
                binding="telemetry-readers",
                readers=True,
                pool_size=2,
            ),
        ),
        redis=(
            RedisUse(
                "redis-stream",
                keys=("data:*",),
                commands=INLET_COMMANDS,
                memory_variable="INGEST_MEMORY_BYTES",
                binding="redis-stream",
            ),
            RedisUse(
                "redis-cache",
                keys=("document:*", "limit:ingest-service:*"),
                commands=("mget", *LIMIT_COMMANDS),
            ),
        ),
        produces=(TELEMETRY_POINTS,),
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
        name="grpc-service",
        package="grpc_service",
        databases=(
            # LISTEN takes one more, as the relay's does.
            DatabaseUse("grpcdb", owns_migrations=True, extra_connections=1),
        ),
        redis=(RedisUse("redis-cache", keys=("limit:grpc-service:*",), commands=LIMIT_COMMANDS),),
        consumes=RESOURCE_EVENTS,
        produces=(DEAD_LETTER,),
        calls=("auth-service",),
        ports=(HTTP, Port("grpc", 50051, "grpc", entry="grpc")),
        pod_name_env=("KAFKA_GROUP_INSTANCE_ID",),
    ),
    Service(
        name="outbox-relay-grpc",
        package="outbox_relay",
        databases=(DatabaseUse("grpcdb", extra_connections=1),),
        produces=TASK_EVENTS,
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
    Service(
        name="async-writer",
        package="async_writer",
        databases=(
            DatabaseUse(
                "telemetry", server="telemetry-database", owns_migrations=True, pool_size=2
            ),
        ),
        consumes=(TELEMETRY_POINTS,),
        produces=(TELEMETRY_DEAD_LETTER,),
        dead_letter=TELEMETRY_DEAD_LETTER,
        pod_name_env=("KAFKA_CLIENT_NAME",),
    ),
    Service(
        name="cpu-writer",
        package="cpu_writer",
        databases=(DatabaseUse("telemetry", server="telemetry-database", pool_size=1),),
        consumes=(TELEMETRY_POINTS,),
        # The async-writer sets the same messages aside.
        dead_letter=None,
        pod_name_env=("KAFKA_CLIENT_NAME",),
    ),
)

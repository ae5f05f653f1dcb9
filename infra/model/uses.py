"""What a service's record is made of: the shared systems it uses, its ports and its helpers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal


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
    readers: bool = False
    """Leads to the server's read-only copies where the stack has some, else to the server itself:
    for reads that may be a little late."""
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

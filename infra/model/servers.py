"""The data servers of the platform, each as one record; their sizes are the stack file's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Engine = Literal["postgres", "mysql", "kafka", "redis"]

DATABASE_ENGINES: Final[tuple[Engine, ...]] = ("postgres", "mysql")
"""Those that hold databases with tables: a service's `databases` are on servers of these."""

BACKED_UP_WHOLE: Final[tuple[Engine, ...]] = ("postgres",)
"""Those whose backups are of a whole server, with every database it holds."""

COPIED_ENGINES: Final[tuple[Engine, ...]] = ("mysql",)
"""Those whose servers may have read-only copies, which a use of a database may ask for."""

BACKUP_USER: Final = "backup_user"
"""Who takes backups of a server that holds databases."""
EXPORTER_USER: Final = "exporter"
"""Who tells Prometheus how a server fares, on each that an exporter asks."""

EXPORTERS: Final[Mapping[Engine, str]] = {
    "postgres": "postgres-exporter",
    "mysql": "mysqld-exporter",
    "redis": "redis-exporter",
}
"""Engine to the exporter of all its servers, as a Deployment and in the catalogue of images. Kafka
tells of itself, by an agent."""


def login(role: str, generation: int) -> str:
    """Who logs in to PostgreSQL with that generation of the role's password: the role itself and a
    second one in turns, as a role has one password."""
    return role if generation % 2 else f"{role}_b"


def proxy(server: str) -> str:
    """What the ProxySQL before a server is called."""
    return f"{server}-proxy"


def readers(server: str) -> str:
    """What the read-only copies of a server are called, as a Service and as a StatefulSet."""
    return f"{server}-readers"


def dashed(database: str) -> str:
    """A database's name as part of an object's of Kubernetes, which knows no `_`."""
    return database.replace("_", "-")


@dataclass(frozen=True)
class Server:
    """One server (for Kafka one cluster) in the namespace `data`, which services use by its name.

    The name is also that of its objects and, before `.data.svc`, of its host.
    """

    name: str
    engine: Engine
    kept: bool = True
    """Whether what it holds is nowhere else. A Redis server that is not kept is a cache."""
    proxied: bool = False
    """Of MySQL: whether services reach it through ProxySQL, where the stack has that."""


SERVERS: Final = (
    Server("postgres", engine="postgres"),
    Server("kafka", engine="kafka"),
    Server("redis-cache", engine="redis", kept=False),
    # What was acknowledged and is not in a database yet.
    Server("redis-stream", engine="redis"),
    # Who may call: clients of the APIs, and the secrets' hashes.
    Server("client-database", engine="mysql"),
    # The constrained one.
    Server("data-store", engine="postgres"),
    # What devices measured, and what is reckoned from it.
    Server("telemetry-database", engine="mysql", proxied=True),
)

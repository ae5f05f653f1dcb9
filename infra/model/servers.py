"""The data servers of the platform, each as one record; their sizes are the stack file's."""

from dataclasses import dataclass
from typing import Final, Literal

Engine = Literal["postgres", "kafka", "redis"]

DATABASE_ENGINES: Final[tuple[Engine, ...]] = ("postgres",)
"""Those that hold databases with tables: a service's `databases` are on servers of these."""


@dataclass(frozen=True)
class Server:
    """One server (for Kafka one cluster) in the namespace `data`, which services use by its name.

    The name is also that of its objects and, before `.data.svc`, of its host.
    """

    name: str
    engine: Engine
    kept: bool = True
    """Whether what it holds is nowhere else. A Redis server that is not kept is a cache."""


SERVERS: Final = (
    Server("postgres", engine="postgres"),
    Server("kafka", engine="kafka"),
    Server("redis-cache", engine="redis", kept=False),
    # What was acknowledged and is not in a database yet.
    Server("redis-stream", engine="redis"),
    # The constrained one.
    Server("data-store", engine="postgres"),
)

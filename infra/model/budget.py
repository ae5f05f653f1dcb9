"""How many connections to a database server the platform may open at once.

A budget and no guess: where it is exceeded, the server refuses connections in the middle of a
rollout, when there are most pods and nobody has time to think.
"""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from infra.model.records import Records
from infra.model.servers import Engine, Server


class Size(Protocol):
    """What the budget has to know of a service's settings."""

    @property
    def most_replicas(self) -> int: ...
    @property
    def database_pool_size(self) -> int: ...


RESERVED: Final[Mapping[Engine, int]] = {"postgres": 3}
"""superuser_reserved_connections, PostgreSQL's default: nobody else gets them. What MySQL keeps for
administrators and probes is beyond its limit."""
PROVISIONING: Final = 2
"""Its administrator's connection and the one as the role whose database it is at."""
MIGRATION: Final = 1
"""Of each database: a run at a time, in one session."""
OPERATORS: Final = 5
"""A person with a shell, a backup, and what an exporter's account may open: three."""


def pods_at_most(replicas: int) -> int:
    """Pods of a Deployment that may be connected during a rollout.

    maxSurge bounds the pods that are not yet told to stop. One that drains no longer counts, and
    the Deployment goes on without waiting for its end: all old ones may be draining while all new
    ones serve.
    """
    return 2 * replicas


def of_services(
    records: Records, server: str, size: Callable[[str], Size], *, readers: bool | None = None
) -> int:
    """Connections of all services together; `size` gives a service's settings by its name.

    Args:
        readers: of a server with copies, those that lead to the copies, or those to the source;
            None: all of them, as on a server that has none.
    """
    return sum(
        pods_at_most(size(service.name).most_replicas)
        * ((use.pool_size or size(service.name).database_pool_size) + use.extra_connections)
        for service in records.services
        for use in service.databases
        if use.server == server and readers in (None, use.readers)
    )


def of_each_node(
    records: Records, server: Server, size: Callable[[str], Size], nodes: int
) -> dict[str, int]:
    """What each kind of node has to take: the source, and any of its copies.

    A copy reckons with all who read: it may be the only one that is ready.
    """
    name = server.name
    if nodes == 1:
        return {"it": of_services(records, name, size)}
    return {
        "the source": of_services(records, name, size, readers=False),
        "a copy": of_services(records, name, size, readers=True),
    }


def of_others(records: Records, server: Server, nodes: int = 1) -> int:
    """Connections that must be left when every service has taken its own.

    Of a server with copies those of the source: every copy follows it by one, and one that is made
    anew takes another.
    """
    reserved = RESERVED.get(server.engine, 0)
    migrations = MIGRATION * len(records.databases(server=server.name))
    return reserved + PROVISIONING + OPERATORS + migrations + (nodes if nodes > 1 else 0)

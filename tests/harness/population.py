"""A small population of the tests' own: what they say of it holds whatever the platform runs."""

import dataclasses
from typing import Any, Final

from infra.model.records import Records
from infra.model.servers import Server
from infra.model.services import DatabaseUse, Port, RedisUse, Service
from services.contracts.topics import DEAD_LETTER, TASK_COMPLETED, TASK_PROCESS

FRONT: Final = Service(
    "front",
    "front",
    databases=(DatabaseUse("frontdb", owns_migrations=True),),
    redis=(RedisUse("redis-cache", keys=("front:*",), commands=("get",)),),
    ports=(Port("http", 8080, entry="http"),),
)
RELAY: Final = Service(
    "relay",
    "relay",
    databases=(DatabaseUse("frontdb", extra_connections=1),),
    produces=(TASK_PROCESS, TASK_COMPLETED),
)
WORKER: Final = Service(
    "worker",
    "worker",
    databases=(DatabaseUse("workerdb", owns_migrations=True),),
    consumes=(TASK_PROCESS, TASK_COMPLETED),
    produces=(DEAD_LETTER,),
)
SMALL: Final = Records(
    services=(FRONT, RELAY, WORKER),
    servers=(
        Server("postgres", "postgres"),
        Server("kafka", "kafka"),
        Server("redis-cache", "redis", kept=False),
    ),
)


def and_more(*more: Service | Server, of: Records = SMALL) -> Records:
    """The population with those added."""
    return Records(
        services=(*of.services, *(one for one in more if isinstance(one, Service))),
        servers=(*of.servers, *(one for one in more if isinstance(one, Server))),
    )


def but_with(name: str, *, of: Records = SMALL, **changes: Any) -> Records:
    """The population with one service changed."""
    return dataclasses.replace(
        of,
        services=tuple(
            dataclasses.replace(service, **changes) if service.name == name else service
            for service in of.services
        ),
    )

"""The Redis servers, with an ACL user per service that may touch its own keys only."""

from components.kit import bindings
from components.kit.quantities import amount
from components.servers.redis.server import Redis, RedisArgs, RedisUser
from infra.model.servers import Server
from infra.stack.accounts import password
from infra.stack.convert import resources, storage
from infra.stack.foundation import APPS, DATA, Foundation
from infra.stack.protection import data_options

Bindings = dict[str, list[bindings.Binding]]


def provide_redis(ground: Foundation) -> Bindings:
    """Every Redis server, and by service name the bindings of every service that uses one."""
    made: Bindings = {}
    for record in ground.records.servers:
        if record.engine == "redis":
            _provide(ground, record, made)
    return made


def _provide(ground: Foundation, record: Server, made: Bindings) -> None:
    settings = ground.settings.redis_of(record.name)
    users = [
        (service.name, use, password(ground, f"{use.binding}-{service.name}", APPS))
        for service in ground.records.services
        for use in service.redis
        if use.server == record.name
    ]
    server = Redis(
        record.name,
        RedisArgs(
            namespace=ground.namespaces.names[DATA],
            namespace_name=DATA,
            image=ground.catalogue.reference("redis"),
            pull_secrets=ground.settings.images.pull_secrets,
            authority=ground.authority,
            users=tuple(
                RedisUser(name=name, password=own.value, keys=use.keys, commands=use.commands)
                for name, use, own in users
            ),
            resources=resources(settings.resources),
            max_memory=settings.max_memory,
            eviction="noeviction" if record.kept else "allkeys-lru",
            storage=storage(settings.storage, ground.settings.kubernetes) if record.kept else None,
            append_fsync=settings.append_fsync,
        ),
        data_options(ground.parent, protect=ground.settings.protect and record.kept),
    )
    for name, use, own in users:
        made.setdefault(name, []).append(
            bindings.redis(
                host=server.address.host,
                port=server.address.port.apply(str),
                username=name,
                password=own.files[APPS],
                name=use.binding,
                more={use.memory_variable: str(int(amount(settings.max_memory)))}
                if use.memory_variable
                else None,
            )
        )

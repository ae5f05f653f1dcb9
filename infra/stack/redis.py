"""The Redis servers, with an ACL user per service that may touch its own keys only."""

from collections.abc import Sequence

import pulumi

from components.kit import bindings, paths
from components.kit.quantities import amount
from components.security.secrets import Password
from components.servers.redis import config
from components.servers.redis.server import OwnPassword, Redis, RedisArgs, RedisUser
from components.workloads.jobs import Job
from infra.model.servers import Server
from infra.model.services import RedisUse
from infra.stack.accounts import credential, hand_out, password, provision
from infra.stack.convert import once, resources, storage
from infra.stack.exporters import Watched
from infra.stack.foundation import DATA, Foundation
from infra.stack.protection import data_options

Bindings = dict[str, list[bindings.Binding]]


def provide_redis(ground: Foundation, watched: list[Watched]) -> Bindings:
    """Every Redis server, and by service name the bindings of every service that uses one; what
    asks how they fare is added to `watched`."""
    made: Bindings = {}
    for record in ground.records.servers:
        if record.engine == "redis":
            _provide(ground, record, made, watched)
    return made


def _provide(ground: Foundation, record: Server, made: Bindings, watched: list[Watched]) -> None:
    settings = ground.settings.redis_of(record.name)
    users = [
        (service.name, use, password(ground, _secret(service.name, use), DATA))
        for service in ground.records.services
        for use in service.redis
        if use.server == record.name
    ]
    asks = f"{record.name}-exporter"
    exporter = password(ground, asks, DATA)
    server = Redis(
        record.name,
        RedisArgs(
            namespace=ground.namespaces.names[DATA],
            namespace_name=DATA,
            image=ground.catalogue.reference("redis"),
            pull_secrets=ground.settings.images.pull_secrets,
            authority=ground.authority,
            users=tuple(
                RedisUser(
                    name=name,
                    passwords=_accepted(ground, _secret(name, use), own),
                    keys=use.keys,
                    commands=use.commands,
                )
                for name, use, own in users
            ),
            health=_own(ground, f"{record.name}-health"),
            operator=_own(ground, f"{record.name}-operator"),
            exporter=_accepted(ground, asks, exporter),
            resources=resources(settings.resources),
            max_memory=settings.max_memory,
            eviction="noeviction" if record.kept else "allkeys-lru",
            storage=storage(settings.storage, ground.settings.kubernetes) if record.kept else None,
            append_fsync=settings.append_fsync,
        ),
        data_options(ground.parent, protect=ground.settings.protect and record.kept),
    )
    provisioned = _provision(ground, record, server, users, exporter)
    watched.append(Watched(record, config.EXPORTER, exporter, provisioned))
    for name, use, own in users:
        made.setdefault(name, []).append(
            bindings.redis(
                host=once(server.address.host, provisioned.completed),
                port=server.address.port.apply(str),
                username=name,
                # Read for every connection.
                password=hand_out(ground, own, provisioned).followed,
                name=use.binding,
                more={use.memory_variable: str(int(amount(settings.max_memory)))}
                if use.memory_variable
                else None,
            )
        )


def _provision(
    ground: Foundation,
    record: Server,
    server: Redis,
    users: Sequence[tuple[str, RedisUse, Password]],
    exporter: Password,
) -> Job:
    """The Job that has the server go by the users there are now."""
    return provision(
        ground,
        record,
        spec={
            "host": server.address.host,
            "port": server.address.port,
            "ca_file": paths.CA_FILE,
            "operator": {
                "name": config.OPERATOR,
                **credential(ground, f"{record.name}-operator", "operator"),
            },
            "acl": server.acl,
            "users": [
                {"name": name, **credential(ground, _secret(name, use), name)}
                for name, use, _ in users
            ]
            + [
                {
                    "name": config.EXPORTER,
                    **credential(ground, f"{record.name}-exporter", config.EXPORTER),
                }
            ],
        },
        secrets={"operator": server.operator_files, config.EXPORTER: exporter.files[DATA]}
        | {name: own.files[DATA] for name, _, own in users},
        incarnation=1,
    )


def _own(ground: Foundation, name: str) -> OwnPassword:
    said = ground.settings.rotation.of(name)
    return OwnPassword(
        generation=said.generation,
        holds_previous=said.held,
        accepts_previous=said.previous == "accepted",
    )


def _accepted(ground: Foundation, name: str, made: Password) -> pulumi.Output[list[str]]:
    if ground.settings.rotation.of(name).previous == "accepted":
        return made.held
    return made.value.apply(lambda value: [value])


def _secret(service: str, use: RedisUse) -> str:
    """Name of the password's Secret."""
    return f"{use.binding}-{service}"

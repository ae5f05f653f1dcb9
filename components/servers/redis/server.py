"""One Redis instance: a cache or, with storage and another eviction policy, a store."""

from collections.abc import Sequence
from typing import Final, Literal, Self

import pulumi
import pulumi_kubernetes as k8s
from pydantic import model_validator

from components.kit import objects, rules
from components.kit.args import Args, Files, Mount, Resources, Storage
from components.kit.containers import check_fits
from components.kit.probes import Probes
from components.kit.quantities import Quantity, amount
from components.security.certificate import encoded
from components.security.secrets import Password, PasswordArgs
from components.servers import server
from components.servers.args import Address, Server, ServerArgs
from components.servers.redis import config

_UID: Final = 10004
_STARTUP_SECONDS: Final = 600
"""Reading an append-only file back."""
_GRACE_SECONDS: Final = 30


class RedisUser(Args):
    """An ACL user that may run `commands` on keys matching `keys`, and nothing else."""

    name: str
    passwords: pulumi.Output[list[str]]
    """Secret; only their SHA-256 reaches the ACL file. Two while one takes the other's place."""
    keys: tuple[str, ...]
    """Glob patterns, like `resource:*`."""
    commands: tuple[str, ...]
    """Command names and @categories, without sign, like `get`, `eval`, `@stream`."""

    @model_validator(mode="after")
    def _least_privilege(self) -> Self:
        rules.check_acl(self.name, self.keys, self.commands)
        return self


class OwnPassword(Args):
    """Which password a user of the server's own has, as `PasswordArgs` says it."""

    generation: int = 1
    holds_previous: bool = False
    accepts_previous: bool = False
    """Whether the server does, too."""


class RedisArgs(ServerArgs):
    """A Redis server. Its object names follow the component's name (`redis-cache`)."""

    users: tuple[RedisUser, ...]
    health: OwnPassword = OwnPassword()
    """Of who asks PING."""
    operator: OwnPassword = OwnPassword()
    """Of who has changed files read."""
    exporter: pulumi.Output[list[str]] | None = None
    """Secret: passwords of who tells Prometheus how the server fares; None: there is nobody."""
    resources: Resources
    max_memory: Quantity = "128Mi"
    eviction: Literal["allkeys-lru", "allkeys-lfu", "volatile-lru", "noeviction"] = "allkeys-lru"
    storage: Storage | None = None
    """None: nothing is kept. Otherwise an append-only file on a volume."""
    append_fsync: Literal["always", "everysec"] = "everysec"

    @model_validator(mode="after")
    def _memory_fits(self) -> Self:
        check_fits("max_memory", self.max_memory, self.resources, 0.75)
        return self

    @model_validator(mode="after")
    def _kept_means_not_evicted(self) -> Self:
        if self.storage is not None and self.eviction.startswith("allkeys"):
            raise ValueError(
                f"eviction is {self.eviction} with storage, so data meant to be kept would vanish "
                "when memory is short; set eviction to noeviction, or leave storage out"
            )
        return self


class Redis(pulumi.ComponentResource):
    """A Redis server, TLS only, with named ACL users only (`default` is off).

    A change of users or passwords does not roll it, which would empty a cache and make a store
    unreachable: the file changes where it is mounted, and a Job has it read (`operator`).

    Makes: ConfigMap `<name>-config`, Secret `<name>-acl`, Passwords `<name>-health` and
    `<name>-operator`, Certificate `<name>-tls`, ServiceAccount, Services `<name>-headless` and
    `<name>`, StatefulSet.
    """

    address: Address
    acl: pulumi.Output[str]
    """Name of the users as they are now (`config.acl_version`), known once their file is."""
    operator_files: Files
    """Secret with the operator's password, in Redis's namespace."""

    def __init__(
        self, name: str, args: RedisArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:data:Redis", name, None, opts)
        health = _own(f"{name}-health", args, args.health, self)
        operator = _own(f"{name}-operator", args, args.operator, self)
        lines = [
            _accepted(args.health, health).apply(
                lambda held: config.user_line(config.HEALTH_USER, held, (), ())
            ),
            _accepted(args.operator, operator).apply(config.operator_line),
            *([args.exporter.apply(config.exporter_line)] if args.exporter is not None else []),
            *(_line(user) for user in args.users),
        ]
        acl, self.acl = _acl(name, args, lines, self)
        secrets = (
            Mount(files=acl, path=config.ACL_PATH),
            Mount(files=health.files[args.namespace_name].followed, path=config.HEALTH_PATH),
            Mount(files=operator.files[args.namespace_name].followed, path=config.OPERATOR_PATH),
        )
        self.address = server.serve(name, args, _spec(args, secrets), self)
        self.operator_files = operator.files[args.namespace_name]
        self.register_outputs(
            {
                "address": self.address.outputs(),
                "acl": self.acl,
                "operator_files": self.operator_files.outputs(),
            }
        )


def _spec(args: RedisArgs, secrets: tuple[Mount, ...]) -> Server:
    return Server(
        component="redis",
        uid=_UID,
        command=("sh", f"{config.CONFIG_PATH}/start.sh"),
        ports={"redis": config.PORT},
        config={
            "redis.conf": config.redis_conf(
                max_memory_bytes=int(amount(args.max_memory)),
                eviction=args.eviction,
                append_fsync=args.append_fsync if args.storage else None,
            ),
            "start.sh": config.start_script(),
            "ready.sh": config.probe_script(),
        },
        mounts=secrets,
        probes=Probes(
            port="redis",
            startup_seconds=_STARTUP_SECONDS,
            readiness_command=("sh", f"{config.CONFIG_PATH}/ready.sh"),
        ),
        resources=args.resources,
        storage=args.storage,
        data_path=config.DATA_PATH,
        grace_seconds=_GRACE_SECONDS,
    )


def _own(
    name: str, args: RedisArgs, own: OwnPassword, parent: pulumi.ComponentResource
) -> Password:
    return Password(
        name,
        PasswordArgs(
            secret_name=name,
            namespaces={args.namespace_name: args.namespace},
            generation=own.generation,
            holds_previous=own.holds_previous,
        ),
        opts=pulumi.ResourceOptions(parent=parent),
    )


def _accepted(own: OwnPassword, made: Password) -> pulumi.Output[list[str]]:
    return made.held if own.accepts_previous else made.value.apply(lambda value: [value])


def _line(user: RedisUser) -> pulumi.Output[str]:
    return user.passwords.apply(
        lambda passwords: config.user_line(user.name, passwords, user.keys, user.commands)
    )


def _acl(
    name: str,
    args: RedisArgs,
    lines: Sequence[pulumi.Output[str]],
    parent: pulumi.ComponentResource,
) -> tuple[Files, pulumi.Output[str]]:
    """The file, which the server is not rolled for, and the name of what is in it."""
    everyone = pulumi.Output.secret(pulumi.Output.all(*lines))
    secret = k8s.core.v1.Secret(
        f"{name}-acl",
        metadata=objects.metadata(f"{name}-acl", args.namespace, objects.labels(name, "redis")),
        type="Opaque",
        data={"users.acl": everyone.apply(config.acl_file).apply(encoded)},
        opts=pulumi.ResourceOptions(parent=parent),
    )
    version = pulumi.Output.unsecret(everyone.apply(config.acl_version))
    files = Files(kind="Secret", name=secret.metadata.apply(objects.name_of), version=version)
    there = pulumi.Output.all(version, secret.metadata).apply(lambda known: str(known[0]))
    return files.followed, there

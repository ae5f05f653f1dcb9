"""One Redis instance: a cache or, with storage and another eviction policy, a store."""

from typing import Final, Literal, Self

import pulumi
import pulumi_kubernetes as k8s
from pydantic import model_validator

from components.kit import hashing, objects, rules
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
    password: pulumi.Output[str]
    """Secret; only its SHA-256 reaches the ACL file."""
    keys: tuple[str, ...]
    """Glob patterns, like `resource:*`."""
    commands: tuple[str, ...]
    """Command names and @categories, without sign, like `get`, `eval`, `@stream`."""

    @model_validator(mode="after")
    def _least_privilege(self) -> Self:
        rules.check_acl(self.name, self.keys, self.commands)
        return self


class RedisArgs(ServerArgs):
    """A Redis server. Its object names follow the component's name (`redis-cache`)."""

    users: tuple[RedisUser, ...]
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

    Makes: ConfigMap `<name>-config`, Secret `<name>-acl`, Password `<name>-health`, Certificate
    `<name>-tls`, ServiceAccount, Services `<name>-headless` and `<name>`, StatefulSet.
    """

    address: Address

    def __init__(
        self, name: str, args: RedisArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:data:Redis", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        health = Password(
            f"{name}-health",
            PasswordArgs(
                secret_name=f"{name}-health",
                namespaces={args.namespace_name: args.namespace},
            ),
            opts=child,
        )
        secrets = (
            Mount(files=_acl(name, args, health, child), path=config.ACL_PATH),
            Mount(files=health.files[args.namespace_name], path=config.HEALTH_PATH),
        )
        self.address = server.serve(name, args, _spec(args, secrets), self)
        self.register_outputs({"address": self.address.outputs()})


def _spec(args: RedisArgs, secrets: tuple[Mount, ...]) -> Server:
    return Server(
        component="redis",
        uid=_UID,
        command=("redis-server", f"{config.CONFIG_PATH}/redis.conf"),
        ports={"redis": config.PORT},
        config={
            "redis.conf": config.redis_conf(
                max_memory_bytes=int(amount(args.max_memory)),
                eviction=args.eviction,
                append_fsync=args.append_fsync if args.storage else None,
            ),
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


def _acl(name: str, args: RedisArgs, health: Password, child: pulumi.ResourceOptions) -> Files:
    health_line = health.value.apply(
        lambda password: config.user_line(config.HEALTH_USER, password, (), ())
    )
    lines = [health_line, *(_line(user) for user in args.users)]
    text = pulumi.Output.secret(pulumi.Output.all(*lines)).apply(config.acl_file)
    secret = k8s.core.v1.Secret(
        f"{name}-acl",
        metadata=objects.metadata(f"{name}-acl", args.namespace, objects.labels(name, "redis")),
        type="Opaque",
        data={"users.acl": text.apply(encoded)},
        opts=child,
    )
    return Files(
        kind="Secret",
        name=secret.metadata.apply(objects.name_of),
        version=pulumi.Output.unsecret(text.apply(hashing.digest)),
    )


def _line(user: RedisUser) -> pulumi.Output[str]:
    return user.password.apply(
        lambda password: config.user_line(user.name, password, user.keys, user.commands)
    )

"""MySQL: one source and, where asked for, read-only copies that follow it."""

from dataclasses import replace
from typing import Final, Self

import pulumi
from pydantic import Field, model_validator

from components.kit import services, volumes
from components.kit.args import Files, Mount, Resources, Storage
from components.kit.containers import check_fits
from components.kit.probes import Probes
from components.kit.quantities import Quantity, mebibytes
from components.security.secrets import Password, PasswordArgs
from components.servers import server
from components.servers.args import Address, Server, ServerArgs
from components.servers.mysql import config

_UID: Final = 10005
_STARTUP_SECONDS: Final = 3600
"""Crash recovery replays the redo log, and a new copy fetches all there is: neither must ever
be killed for it."""
_GRACE_SECONDS: Final = 120
"""A shutdown ends sessions, then writes what the redo log would have to replay."""


class MySQLArgs(ServerArgs):
    """A MySQL server. Its object names follow the component's name (`client-database`)."""

    admin_password: Files
    """Secret with key `password` in the server's namespace: that of `root`. Letters and digits
    only; applied at every start; a new one while it runs is the provisioning Job's affair."""
    resources: Resources
    storage: Storage
    replicas: int = Field(default=1, ge=1, le=5)
    """One is the source; the others are read-only copies. Which one is the source never changes by
    itself."""
    max_lag_seconds: int = Field(default=30, ge=1)
    """A copy that is further behind its source is not ready."""
    max_connections: int = Field(default=50, ge=20)
    buffer_pool: Quantity = "256Mi"
    binlog_retention_hours: int = Field(default=72, ge=1)
    """How long the binary log is kept for replicas that are away, and for its archive."""
    one_per_host: bool = True
    """No host gets two nodes: losing it must not lose the copy with the source."""

    @model_validator(mode="after")
    def _buffers_fit(self) -> Self:
        # The rest is for the performance schema, the connections' own memory, and sorts.
        check_fits("buffer_pool", self.buffer_pool, self.resources, 0.5)
        return self


def copies(name: str, replicas: int, namespace: str) -> tuple[str, ...]:
    """Hosts of the copies of a server of so many replicas, ready or not."""
    readers = f"{name}-readers"
    domain = services.replica_domain(readers, namespace)
    return tuple(f"{readers}-{number}.{domain}" for number in range(replicas - 1))


class MySQL(pulumi.ComponentResource):
    """A MySQL server that speaks TLS only. Accounts and databases come from a Job.

    Makes: Certificate `<name>-tls`, Passwords `<name>-health` and, for copies,
    `<name>-replication`; of the source, and as `<name>-readers` of the copies, ServiceAccount,
    ConfigMap, headless Service, StatefulSet and the Service that leads there.

    Two StatefulSets, because a Service selects by labels alone and the pods of one set have the
    same ones: the only label that tells them apart is an ordinal, and a selector cannot say "not
    0". A Service per copy would give clients a list to choose from, and a list of addresses kept by
    the program would hold copies that are not ready.
    """

    address: Address
    """Of the source."""
    readers: Address
    """Of the copies that follow closely enough; of the source where there are none."""

    def __init__(
        self, name: str, args: MySQLArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:data:MySQL", name, None, opts)
        own = {"health": config.HEALTH_PATH}
        if args.replicas > 1:
            own["replication"] = config.REPLICATION_PATH
        mounts = (
            Mount(files=args.admin_password, path=config.ADMIN_PATH),
            *(
                Mount(files=self._password(f"{name}-{what}", args), path=path)
                for what, path in own.items()
            ),
        )
        readers = f"{name}-readers"
        source = f"{name}-0.{services.replica_domain(name, args.namespace_name)}"
        hosts = services.host_names(name, args.namespace_name)
        if args.replicas > 1:
            hosts += services.host_names(readers, args.namespace_name)
            # Each by itself, for who asks how it fares; another number of them is no new name.
            hosts.append(f"*.{services.replica_domain(readers, args.namespace_name)}")
        tls = server.certificate(
            f"{name}-tls", args, self, common_name=name, dns_names=(*hosts, source)
        ).followed
        spec = _spec(args, mounts)
        made = server.nodes(name, args, spec, tls, self)
        # The one pod by its name: a second one, if somebody scales the set, has data of its own.
        self.address = server.publish(name, args, spec, made, self, replica=f"{name}-0")
        self.readers = self.address
        if args.replicas > 1:
            copies = _copies(name, args, spec, source)
            # After the source, whose restart then finds them there: reads go on meanwhile.
            following = server.nodes(readers, args, copies, tls, self, after=made)
            self.readers = server.publish(readers, args, copies, following, self)
        self.register_outputs(
            {"address": self.address.outputs(), "readers": self.readers.outputs()}
        )

    def _password(self, name: str, args: MySQLArgs) -> Files:
        return Password(
            name,
            PasswordArgs(secret_name=name, namespaces={args.namespace_name: args.namespace}),
            opts=pulumi.ResourceOptions(parent=self),
        ).files[args.namespace_name]


def _spec(args: MySQLArgs, mounts: tuple[Mount, ...]) -> Server:
    """The source."""
    probe = ("bash", f"{config.CONFIG_PATH}/ready.sh")
    return Server(
        component="mysql",
        uid=_UID,
        command=("bash", f"{config.CONFIG_PATH}/start.sh"),
        env={"LANG": "C.UTF-8"},
        ports={"mysql": config.PORT},
        config={
            "my.cnf": config.my_cnf(
                max_connections=args.max_connections,
                buffer_pool_mebibytes=mebibytes(args.buffer_pool),
                binlog_retention_seconds=args.binlog_retention_hours * 3600,
            ),
            "start.sh": config.start_script(),
            "adopt.sh": config.adopt_script(),
            "ready.sh": config.probe_script(max_lag_seconds=args.max_lag_seconds),
        },
        mounts=mounts,
        scratch=(
            volumes.scratch("tmp", "/tmp", "256Mi"),  # noqa: S108 - the root is read-only
            # In memory: what the start script writes here for the server holds passwords.
            volumes.scratch("run", config.SOCKET_PATH, "1Mi", memory=True),
        ),
        probes=Probes(
            port="mysql",
            startup_seconds=_STARTUP_SECONDS,
            startup_command=probe,
            readiness_command=probe,
        ),
        resources=args.resources,
        storage=args.storage,
        data_path=config.DATA_PATH,
        grace_seconds=_GRACE_SECONDS,
    )


def _copies(name: str, args: MySQLArgs, source: Server, host: str) -> Server:
    """What follows the source at `host`."""
    probe = (*source.probes.readiness_command, "following")
    return replace(
        source,
        replicas=args.replicas - 1,
        env={**source.env, "SOURCE_HOST": host},
        # A copy has started long before it follows, and may lose its source for hours.
        probes=source.probes.model_copy(update={"readiness_command": probe}),
        one_per_host=args.one_per_host and args.replicas > 2,
        apart_from=name if args.one_per_host else None,
    )

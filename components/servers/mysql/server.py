"""MySQL: one source and, where asked for, replicas that follow it."""

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
"""Crash recovery replays the redo log, and a replica copies everything there is: neither must ever
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
    """The first is the source, and clients are led to it alone; the others are read-only copies.
    Which one is the source never changes by itself."""
    max_connections: int = Field(default=50, ge=20)
    buffer_pool: Quantity = "256Mi"
    binlog_retention_hours: int = Field(default=72, ge=1)
    """How long the binary log is kept for replicas that are away, and for its archive."""
    one_per_host: bool = True
    """No host gets two replicas: losing it must not lose the copy with the source."""

    @model_validator(mode="after")
    def _buffers_fit(self) -> Self:
        # The rest is for the performance schema, the connections' own memory, and sorts.
        check_fits("buffer_pool", self.buffer_pool, self.resources, 0.5)
        return self


class MySQL(pulumi.ComponentResource):
    """A MySQL server that speaks TLS only. Accounts and databases come from a Job.

    Makes: ConfigMap `<name>-config`, Certificate `<name>-tls`, Passwords `<name>-health` and, for
    replicas, `<name>-replication`, ServiceAccount, Services `<name>-headless` (all nodes) and
    `<name>` (the source), StatefulSet.
    """

    address: Address

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
        source = f"{name}-0.{services.replica_domain(name, args.namespace_name)}"
        tls = server.certificate(
            f"{name}-tls",
            args,
            self,
            common_name=name,
            dns_names=(*services.host_names(name, args.namespace_name), source),
        )
        spec = _spec(name, args, mounts, source)
        made = server.nodes(name, args, spec, tls.followed, self)
        self.address = server.publish(
            name,
            args,
            spec,
            made,
            self,
            # Whatever becomes of the source: a write must never reach a replica.
            replica=f"{name}-0",
        )
        self.register_outputs({"address": self.address.outputs()})

    def _password(self, name: str, args: MySQLArgs) -> Files:
        return Password(
            name,
            PasswordArgs(secret_name=name, namespaces={args.namespace_name: args.namespace}),
            opts=pulumi.ResourceOptions(parent=self),
        ).files[args.namespace_name]


def _spec(name: str, args: MySQLArgs, mounts: tuple[Mount, ...], source: str) -> Server:
    probe = ("bash", f"{config.CONFIG_PATH}/ready.sh")
    replicated = args.replicas > 1
    return Server(
        component="mysql",
        uid=_UID,
        replicas=args.replicas,
        command=("bash", f"{config.CONFIG_PATH}/start.sh"),
        env={"LANG": "C.UTF-8"} | ({"SOURCE_HOST": source} if replicated else {}),
        ports={"mysql": config.PORT},
        config={
            "my.cnf": config.my_cnf(
                max_connections=args.max_connections,
                buffer_pool_mebibytes=mebibytes(args.buffer_pool),
                binlog_retention_seconds=args.binlog_retention_hours * 3600,
            ),
            "start.sh": config.start_script(),
            "ready.sh": config.probe_script(),
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
            # A replica has started long before it follows, and may lose its source for hours.
            readiness_command=(*probe, "replicating") if replicated else probe,
        ),
        resources=args.resources,
        storage=args.storage,
        data_path=config.DATA_PATH,
        grace_seconds=_GRACE_SECONDS,
        one_per_host=args.one_per_host and replicated,
    )

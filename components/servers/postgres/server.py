"""One PostgreSQL 17 server."""

from typing import Final, Self

import pulumi
from pydantic import Field, model_validator

from components.kit import volumes
from components.kit.args import Files, Mount, Resources, Storage
from components.kit.containers import check_fits
from components.kit.probes import Probes
from components.kit.quantities import Quantity, mebibytes
from components.servers import server
from components.servers.args import Address, Server, ServerArgs
from components.servers.postgres import config

_UID: Final = 10003
_STARTUP_SECONDS: Final = 3600
"""Crash recovery replays the log since the last checkpoint and must never be killed for it."""
_GRACE_SECONDS: Final = 120
"""A fast shutdown writes one checkpoint."""


class PostgresArgs(ServerArgs):
    """A PostgreSQL server. Its object names follow the component's name (`postgres`)."""

    admin_password: Files
    """Secret with key `password` in the server's namespace: the superuser's. Letters and digits
    only; applied at every start; a new one while it runs is the provisioning Job's affair."""
    resources: Resources
    storage: Storage
    max_connections: int = Field(default=200, ge=20)
    shared_buffers: Quantity = "128Mi"
    flushes_per_second: int | None = Field(default=None, ge=10, le=1000)
    """Of the write-ahead log, at most about; None: as many as the disk takes."""

    @model_validator(mode="after")
    def _buffers_fit(self) -> Self:
        # The rest is for the connections' own memory and the page cache.
        check_fits("shared_buffers", self.shared_buffers, self.resources, 0.5)
        return self


class Postgres(pulumi.ComponentResource):
    """A PostgreSQL server that speaks TLS and SCRAM only. Roles and databases come from a Job.

    Makes: ConfigMap `<name>-config`, Certificate `<name>-tls`, ServiceAccount, Services
    `<name>-headless` and `<name>`, StatefulSet.
    """

    address: Address

    def __init__(
        self, name: str, args: PostgresArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:data:Postgres", name, None, opts)
        self.address = server.serve(name, args, _spec(args), self)
        self.register_outputs({"address": self.address.outputs()})


def _spec(args: PostgresArgs) -> Server:
    return Server(
        component="postgres",
        uid=_UID,
        command=("bash", f"{config.CONFIG_PATH}/start.sh"),
        env={"LANG": "C.UTF-8"},
        ports={"postgres": config.PORT},
        config={
            "postgresql.conf": config.postgresql_conf(
                max_connections=args.max_connections,
                shared_buffers_mebibytes=mebibytes(args.shared_buffers),
                flushes_per_second=args.flushes_per_second,
            ),
            "pg_hba.conf": config.pg_hba_conf(),
            "passwd": config.passwd(_UID),
            "start.sh": config.start_script(),
        },
        single_files={"passwd": "/etc/passwd"},
        mounts=(Mount(files=args.admin_password, path=config.ADMIN_PATH),),
        scratch=(
            volumes.scratch("tmp", "/tmp", "64Mi"),  # noqa: S108 - the root is read-only
            volumes.scratch("run", config.SOCKET_PATH, "1Mi"),
            # Parallel queries share memory through it; a container's own has 64 MiB.
            volumes.scratch("shm", "/dev/shm", "128Mi", memory=True),  # noqa: S108
        ),
        probes=Probes(
            port="postgres",
            startup_seconds=_STARTUP_SECONDS,
            # Over the socket: neither a password nor a free connection is needed.
            readiness_command=(
                f"{config.BINARIES}/pg_isready",
                f"--host={config.SOCKET_PATH}",
                "--username=postgres",
                "--dbname=postgres",
                "--quiet",
            ),
        ),
        resources=args.resources,
        storage=args.storage,
        data_path=config.DATA_PATH,
        grace_seconds=_GRACE_SECONDS,
    )

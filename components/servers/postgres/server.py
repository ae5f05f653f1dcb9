"""One PostgreSQL 17 server."""

from typing import Final, Self

import pulumi
from pydantic import Field, model_validator

from components.kit import paths, pods, probes, stateful
from components.kit.args import Args, Files, Image, Mount, Resources, Storage, Text
from components.kit.quantities import Quantity, mebibytes
from components.security.certificate import Certificate, CertificateArgs
from components.security.pki import CertificateAuthority
from components.servers.postgres import config as texts

_UID: Final = 10003
_STARTUP_SECONDS: Final = 3600
"""Crash recovery replays the log since the last checkpoint and must never be killed for it."""
_GRACE_SECONDS: Final = 120
"""A fast shutdown writes one checkpoint."""


class PostgresArgs(Args):
    """A PostgreSQL server. Its object names follow the component's name (`postgres`)."""

    namespace: Text
    namespace_name: str = "data"
    image: Image
    pull_secrets: tuple[str, ...] = ()
    """Secrets of the namespace that open the image's registry."""
    authority: CertificateAuthority
    admin_password: Files
    """Secret with key `password` in the server's namespace: the superuser's. Letters and digits
    only; applied at every start, so a rotation takes effect with the roll it causes."""
    resources: Resources
    storage: Storage
    max_connections: int = Field(default=200, ge=20)
    shared_buffers: Quantity = "128Mi"

    @model_validator(mode="after")
    def _buffers_fit(self) -> Self:
        # The rest is for the connections' own memory and the page cache.
        pods.check_fits("shared_buffers", self.shared_buffers, self.resources, 0.5)
        return self


class Postgres(pulumi.ComponentResource):
    """A PostgreSQL server that speaks TLS and SCRAM only. Roles and databases come from a Job.

    Makes: ConfigMap `<name>-config`, Certificate `<name>-tls`, ServiceAccount, Services
    `<name>-headless` and `<name>`, StatefulSet.
    """

    host: pulumi.Output[str]
    """`postgres.data.svc`; known once the server is ready."""
    port: pulumi.Output[int]

    def __init__(
        self, name: str, args: PostgresArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:data:Postgres", name, None, opts)
        tls = Certificate(
            f"{name}-tls",
            CertificateArgs(
                authority=args.authority,
                namespace=args.namespace,
                secret_name=f"{name}-tls",
                common_name=name,
                dns_names=tuple(stateful.host_names(name, args.namespace_name)),
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        config = {
            "postgresql.conf": texts.postgresql_conf(
                max_connections=args.max_connections,
                shared_buffers_mebibytes=mebibytes(args.shared_buffers),
            ),
            "pg_hba.conf": texts.pg_hba_conf(),
            "passwd": texts.passwd(_UID),
            "start.sh": texts.start_script(),
        }
        files = stateful.config_files(name, args.namespace, "postgres", config, self)
        mounts = (
            Mount(files=files, path=texts.CONFIG_PATH),
            Mount(files=tls.files, path=paths.TLS),
            Mount(files=args.admin_password, path=texts.ADMIN_PATH),
        )
        server = stateful.server(
            stateful.Server(
                name=name,
                component="postgres",
                namespace=args.namespace,
                image=args.image,
                pull_secrets=args.pull_secrets,
                uid=_UID,
                replicas=1,
                command=("bash", f"{texts.CONFIG_PATH}/start.sh"),
                env={"LANG": "C.UTF-8"},
                ports={"postgres": texts.PORT},
                probes=probes.build(
                    probes.Probes(
                        port="postgres",
                        startup_seconds=_STARTUP_SECONDS,
                        # Over the socket: neither a password nor a free connection is needed.
                        readiness_command=(
                            f"{texts.BINARIES}/pg_isready",
                            f"--host={texts.SOCKET_PATH}",
                            "--username=postgres",
                            "--dbname=postgres",
                            "--quiet",
                        ),
                    )
                ),
                resources=args.resources,
                storage=args.storage,
                data_path=texts.DATA_PATH,
                volumes=[
                    pods.scratch("tmp", "/tmp", "64Mi"),  # noqa: S108 - the root is read-only
                    pods.scratch("run", texts.SOCKET_PATH, "1Mi"),
                    # Parallel queries share memory through it; a container's own has 64 MiB.
                    pods.scratch("shm", "/dev/shm", "128Mi", memory=True),  # noqa: S108
                    *(pods.files(mount) for mount in mounts),
                    pods.files(Mount(files=files, path="/etc/passwd"), sub_path="passwd"),
                ],
                config_hash=pods.config_hash(pods.versions(mounts)),
                grace_seconds=_GRACE_SECONDS,
            ),
            self,
        )
        service = stateful.service(
            name,
            args.namespace,
            "postgres",
            {"postgres": texts.PORT},
            self,
            startup_seconds=_STARTUP_SECONDS,
        )
        self.host = stateful.known_when_ready(
            stateful.host_names(name, args.namespace_name)[2], server, service
        )
        self.port = pulumi.Output.from_input(texts.PORT)
        self.register_outputs({"host": self.host, "port": self.port})

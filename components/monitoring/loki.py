"""Loki: keeps lines of logs, and finds them by what is in them."""

from typing import Annotated, Final

import pulumi
from pydantic import Field

from components.kit import paths
from components.kit.args import Resources, Storage
from components.kit.probes import Probes
from components.monitoring.loki_config import DATA, PORT, configuration
from components.monitoring.web import PORT_NAME, go_runtime
from components.servers import server
from components.servers.args import Address, Server, ServerArgs

_UID: Final = 10001
"""The official image's."""
_FILE: Final = "loki.yaml"
_STARTUP_SECONDS: Final = 300
"""Reading back what was not yet written into files of its own."""
_GRACE_SECONDS: Final = 120
"""It writes them before it ends."""


class LokiArgs(ServerArgs):
    """One Loki. Another configuration rolls it."""

    namespace_name: str = "monitoring"
    resources: Resources
    storage: Storage | None = None
    """None: what it knows is gone with the pod."""
    retention_days: Annotated[int, Field(ge=1)] = 7
    """How long a line is kept."""


class Loki(pulumi.ComponentResource):
    """A Loki of one process behind TLS. Nobody logs in: who reaches its port may read and write.

    Makes: ConfigMap `<name>-config`, Certificate `<name>-tls`, ServiceAccount (no token), Services
    `<name>-headless` and `<name>`, StatefulSet.
    """

    address: Address

    def __init__(
        self, name: str, args: LokiArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:monitoring:Loki", name, None, opts)
        self.address = server.serve(name, args, _spec(args), self)
        self.register_outputs({"address": self.address.outputs()})


def _spec(args: LokiArgs) -> Server:
    return Server(
        component="loki",
        uid=_UID,
        command=("/usr/bin/loki", "-target=all", f"-config.file={paths.config('loki')}/{_FILE}"),
        env=go_runtime(args.resources),
        ports={PORT_NAME: PORT},
        config={_FILE: configuration(retention_days=args.retention_days)},
        probes=Probes(
            port=PORT_NAME,
            scheme="HTTPS",
            startup_seconds=_STARTUP_SECONDS,
            startup_path="/ready",
            readiness_path="/ready",
            # Answers while it is not ready, too: a restart would make that longer.
            liveness_path="/loki/api/v1/status/buildinfo",
        ),
        resources=args.resources,
        storage=args.storage,
        data_path=DATA,
        grace_seconds=_GRACE_SECONDS,
    )

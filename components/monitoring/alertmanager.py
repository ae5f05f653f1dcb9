"""Alertmanager: of all alerts, who is told of which, and once."""

from collections.abc import Mapping
from typing import Annotated, Final

import pulumi
from pydantic import Field

from components.kit import paths
from components.kit.args import Files, Mount, Resources, Storage
from components.kit.probes import Probes
from components.monitoring.web import PORT_NAME, WEB_FILE, go_runtime, web_config
from components.servers import server
from components.servers.args import Address, Server, ServerArgs

PORT: Final = 9093
_UID: Final = 10011
_CONFIG: Final = paths.config("alertmanager")
_DATA: Final = "/alertmanager"
_FILE: Final = "alertmanager.yml"
_STARTUP_SECONDS: Final = 60
_GRACE_SECONDS: Final = 30


class AlertmanagerArgs(ServerArgs):
    """One Alertmanager. Another configuration rolls it."""

    namespace_name: str = "monitoring"
    configuration: str
    """alertmanager.yml; what is secret is in files of `paths.RECEIVERS`."""
    receivers: Mapping[str, Files] = {}
    """Receiver's name to the Secret whose keys are those files. A changed one is read again."""
    resources: Resources
    storage: Storage | None = None
    """Of silences and of what was told. None: both are gone with the pod, and all is told anew."""
    retention_hours: Annotated[int, Field(ge=1)] = 120
    """How long it remembers what is over."""


class Alertmanager(pulumi.ComponentResource):
    """An Alertmanager behind TLS, inside the cluster only: who reaches it may silence alerts.

    Makes: ConfigMap `<name>-config`, Certificate `<name>-tls`, ServiceAccount, Services
    `<name>-headless` and `<name>`, StatefulSet.
    """

    address: Address

    def __init__(
        self, name: str, args: AlertmanagerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:monitoring:Alertmanager", name, None, opts)
        self.address = server.serve(name, args, _spec(args), self)
        self.register_outputs({"address": self.address.outputs()})


def _spec(args: AlertmanagerArgs) -> Server:
    return Server(
        component="alertmanager",
        uid=_UID,
        command=(
            "/bin/alertmanager",
            f"--config.file={_CONFIG}/{_FILE}",
            f"--web.config.file={_CONFIG}/{WEB_FILE}",
            f"--web.listen-address=:{PORT}",
            f"--storage.path={_DATA}",
            f"--data.retention={args.retention_hours}h",
            # There is one: nobody to agree with.
            "--cluster.listen-address=",
            "--log.format=json",
        ),
        env=go_runtime(args.resources),
        ports={PORT_NAME: PORT},
        config={_FILE: args.configuration, WEB_FILE: web_config()},
        mounts=tuple(
            Mount(files=files.followed, path=f"{paths.RECEIVERS}/{name}")
            for name, files in args.receivers.items()
        ),
        probes=Probes(
            port=PORT_NAME,
            scheme="HTTPS",
            startup_seconds=_STARTUP_SECONDS,
            startup_path="/-/healthy",
            readiness_path="/-/ready",
            liveness_path="/-/healthy",
        ),
        resources=args.resources,
        storage=args.storage,
        data_path=_DATA,
        grace_seconds=_GRACE_SECONDS,
    )

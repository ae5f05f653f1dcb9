"""Grafana: shows the dashboards it is given, and keeps nothing of its own."""

from collections.abc import Mapping
from typing import Final

import pulumi

from components.kit import paths, services, volumes
from components.kit.args import Files, Mount, Resources
from components.kit.probes import Probes
from components.monitoring.web import PORT_NAME, go_runtime
from components.servers import server
from components.servers.args import Address, Server, ServerArgs

PORT: Final = 3000
DASHBOARDS: Final = paths.config("grafana")
"""Where it finds them: whoever writes its provisioning says so there."""
_UID: Final = 10015
_PROVISIONING: Final = "/etc/grafana/provisioning"
_DATA: Final = "/var/lib/grafana"
_STARTUP_SECONDS: Final = 180
_GRACE_SECONDS: Final = 30


class GrafanaArgs(ServerArgs):
    """One Grafana. What it shows is files: another one rolls it."""

    namespace_name: str = "monitoring"
    ca: Files
    """That Prometheus' certificate must lead to."""
    provisioning: Mapping[str, str]
    """Path below its provisioning folder to text; dashboards are found at `DASHBOARDS`."""
    admin_password: Files
    """Of the user admin, who may change things until the pod is gone."""
    resources: Resources
    url: str | None = None
    """How people reach it, for links."""
    host: str = "localhost"
    """A name more for its certificate, that of `url`: beside localhost, for who comes by a port of
    their own machine."""
    node_port: int | None = None
    """Of every node, that leads to it; None: inside the cluster only."""


class Grafana(pulumi.ComponentResource):
    """A Grafana behind TLS, whose users log in.

    Makes: ConfigMap `<name>-config`, Certificate `<name>-tls`, ServiceAccount, Services
    `<name>-headless` and `<name>`, StatefulSet.
    """

    address: Address

    def __init__(
        self, name: str, args: GrafanaArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:monitoring:Grafana", name, None, opts)
        inside = services.host_names(name, args.namespace_name)
        names = tuple(dict.fromkeys((*inside, "localhost", args.host)))
        tls = server.certificate(f"{name}-tls", args, self, common_name=name, dns_names=names)
        spec = _spec(args)
        made = server.nodes(name, args, spec, tls.followed, self)
        outside = {PORT_NAME: args.node_port} if args.node_port is not None else None
        self.address = server.publish(name, args, spec, made, self, node_ports=outside)
        self.register_outputs({"address": self.address.outputs()})


def _spec(args: GrafanaArgs) -> Server:
    password = paths.secret("grafana-admin")
    files = {path.rpartition("/")[2]: (path, text) for path, text in args.provisioning.items()}
    return Server(
        component="grafana",
        uid=_UID,
        # The image's own: it reads what the variables that end in __FILE name.
        command=("/run.sh",),
        env={**_settings(args, f"{password}/password"), **go_runtime(args.resources)},
        ports={PORT_NAME: PORT},
        config={key: text for key, (_, text) in files.items()},
        # Dashboards are found where the configuration is; the others have to be in their folders.
        single_files={
            key: f"{_PROVISIONING}/{path}"
            for key, (path, _) in files.items()
            if path.startswith(("datasources/", "dashboards/"))
        },
        mounts=(
            Mount(files=args.ca, path=paths.CA),
            Mount(files=args.admin_password, path=password),
        ),
        scratch=(volumes.scratch("tmp", "/tmp", "64Mi"),),  # noqa: S108 - the root is read-only
        probes=Probes(
            port=PORT_NAME,
            scheme="HTTPS",
            startup_seconds=_STARTUP_SECONDS,
            # It asks its database, too; whether it is alive is seen by its port.
            readiness_path="/api/health",
        ),
        resources=args.resources,
        storage=None,
        data_path=_DATA,
        grace_seconds=_GRACE_SECONDS,
    )


def _settings(args: GrafanaArgs, password_file: str) -> dict[str, str]:
    return {
        "GF_SERVER_PROTOCOL": "https",
        "GF_SERVER_HTTP_PORT": str(PORT),
        "GF_SERVER_CERT_FILE": f"{paths.TLS}/tls.crt",
        "GF_SERVER_CERT_KEY": f"{paths.TLS}/tls.key",
        "GF_SERVER_CERTS_WATCH_INTERVAL": "1m",
        **({"GF_SERVER_ROOT_URL": args.url} if args.url else {}),
        "GF_PATHS_PROVISIONING": _PROVISIONING,
        "GF_PATHS_LOGS": f"{_DATA}/log",
        "GF_LOG_MODE": "console",
        "GF_LOG_CONSOLE_FORMAT": "json",
        "GF_SECURITY_ADMIN_PASSWORD__FILE": password_file,
        "GF_SECURITY_COOKIE_SECURE": "true",
        "GF_AUTH_ANONYMOUS_ENABLED": "false",
        "GF_USERS_ALLOW_SIGN_UP": "false",
        # Nothing is told to anybody outside, and nothing is fetched from there.
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_PLUGINS_PREINSTALL_DISABLED": "true",
        "GF_SECURITY_DISABLE_GRAVATAR": "true",
        "GF_NEWS_NEWS_FEED_ENABLED": "false",
        # Alertmanager is who tells: a second set of rules would tell something else.
        "GF_UNIFIED_ALERTING_ENABLED": "false",
    }

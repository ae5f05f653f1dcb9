"""Prometheus: asks everything how it is, keeps the answers, and evaluates the rules."""

from collections.abc import Mapping
from typing import Annotated, Final

import pulumi
from pydantic import Field, field_validator

from components.kit import paths, services
from components.kit.args import Files, Mount, Resources, Storage, Text
from components.kit.probes import Probes
from components.kit.quantities import amount
from components.monitoring import access
from components.monitoring.web import PORT_NAME, WEB_FILE, go_runtime, web_config
from components.servers import server
from components.servers.args import Address, Server, ServerArgs

PORT: Final = 9090
RULES: Final = f"{paths.config('prometheus')}/rules-*.yaml"
"""What the configuration names in `rule_files`."""
_UID: Final = 10010
_CONFIG: Final = paths.config("prometheus")
_DATA: Final = "/prometheus"
_FILE: Final = "prometheus.yml"
_STARTUP_SECONDS: Final = 600
"""Reading back what was not yet put into a block."""
_GRACE_SECONDS: Final = 60
_KEPT: Final = 0.8
"""Of the volume, at most: a block is written before older ones go."""
_BYTES_PER_SAMPLE: Final = 64
"""Of the memory limit for each sample that one query may load: it takes 16, beside all else."""


class PrometheusArgs(ServerArgs):
    """One Prometheus. Its configuration is taken over while it runs."""

    namespace_name: str = "monitoring"
    ca: Files
    """That its targets' certificates must lead to."""
    configuration: str
    """prometheus.yml; `RULES` are its `rule_files`."""
    rules: Mapping[str, str]
    """Name to text of each rule file."""
    watches: Mapping[str, Text]
    """Short name to the name of each namespace whose pods it may find."""
    resources: Resources
    storage: Storage | None = None
    """None: what it knows is gone with the pod."""
    retention_days: Annotated[int, Field(ge=1)] = 7
    """How long values are kept, where the volume has room."""
    url: str | None = None
    """How people reach it, for links in alerts."""
    host: str = "localhost"
    """A name more for its certificate, that of `url`: beside localhost, for who comes by a port of
    their own machine."""
    node_port: int | None = None
    """Of every node, that leads to it; None: inside the cluster only."""

    @field_validator("rules")
    @classmethod
    def _some(cls, rules: Mapping[str, str]) -> Mapping[str, str]:
        if not rules:
            raise ValueError("rules is empty, so nothing would ever be told; give the rule files")
        return rules


class Prometheus(pulumi.ComponentResource):
    """A Prometheus behind TLS. Nobody logs in: who reaches its port may read, and change nothing.

    Makes: ConfigMap `<name>-config`, Certificate `<name>-tls`, ServiceAccount, a Role and its
    binding per watched namespace, ClusterRole and binding `millrace-<name>`, Services
    `<name>-headless` and `<name>`, StatefulSet.
    """

    address: Address

    def __init__(
        self, name: str, args: PrometheusArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:monitoring:Prometheus", name, None, opts)
        access.watch_pods(name, args.watches, args.namespace, self)
        access.read_nodes(name, args.namespace, self)
        inside = services.host_names(name, args.namespace_name)
        names = tuple(dict.fromkeys((*inside, "localhost", args.host)))
        tls = server.certificate(f"{name}-tls", args, self, common_name=name, dns_names=names)
        spec = _spec(args)
        made = server.nodes(name, args, spec, tls.followed, self)
        outside = {PORT_NAME: args.node_port} if args.node_port is not None else None
        self.address = server.publish(name, args, spec, made, self, node_ports=outside)
        self.register_outputs({"address": self.address.outputs()})


def _spec(args: PrometheusArgs) -> Server:
    return Server(
        component="prometheus",
        uid=_UID,
        command=_command(args),
        env=go_runtime(args.resources),
        ports={PORT_NAME: PORT},
        config={
            _FILE: args.configuration,
            WEB_FILE: web_config(),
            **{f"rules-{name}": text for name, text in args.rules.items()},
        },
        follows_config=True,
        mounts=(Mount(files=args.ca, path=paths.CA),),
        probes=Probes(
            port=PORT_NAME,
            scheme="HTTPS",
            startup_seconds=_STARTUP_SECONDS,
            # It answers this one while it still reads its log.
            startup_path="/-/healthy",
            readiness_path="/-/ready",
            liveness_path="/-/healthy",
        ),
        resources=args.resources,
        storage=args.storage,
        data_path=_DATA,
        grace_seconds=_GRACE_SECONDS,
        api_token=True,
    )


def _command(args: PrometheusArgs) -> tuple[str, ...]:
    volume = args.storage.size if args.storage else args.resources.disk_limit
    kept = int(amount(volume) * _KEPT / 2**20)
    samples = int(amount(args.resources.memory_limit) / _BYTES_PER_SAMPLE)
    return (
        "/bin/prometheus",
        f"--config.file={_CONFIG}/{_FILE}",
        # Looked at this often, rules included; a wrong one is told of and changes nothing.
        "--config.auto-reload-interval=30s",
        "--enable-feature=auto-reload-config,exemplar-storage",
        f"--web.config.file={_CONFIG}/{WEB_FILE}",
        f"--web.listen-address=:{PORT}",
        # By default every page that somebody looks at may ask it, through their browser.
        "--web.cors.origin=none",
        *((f"--web.external-url={args.url}",) if args.url else ()),
        f"--storage.tsdb.path={_DATA}",
        f"--storage.tsdb.retention.time={args.retention_days}d",
        f"--storage.tsdb.retention.size={kept}MB",
        f"--query.max-samples={samples}",
        "--query.max-concurrency=4",
        "--query.timeout=30s",
        "--log.format=json",
    )

"""A program that tells Prometheus how servers fare that cannot tell it themselves."""

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s
from pydantic import Field

from components.kit import containers, hashing, objects, paths, placement, pods, services
from components.kit.args import Args, Files, Image, Mount, Resources, Text
from components.kit.names import check_name
from components.kit.probes import Probes
from components.kit.volumes import files, versions
from components.security.certificate import Certificate, CertificateArgs, encoded
from components.security.pki import CertificateAuthority

UID = 10012
CONFIG_PATH = paths.config("exporter")
"""Where the files of `config` are."""
_STARTUP_SECONDS = 60
_DRAIN_SECONDS = 5
_PORT = "metrics"
_MEMORY = 64
"""MiB, at most; Go is told to stay a quarter below it."""
SMALL = Resources(
    cpu_request="5m",
    cpu_limit="200m",
    memory_request="24Mi",
    memory_limit=f"{_MEMORY}Mi",
    disk_limit="64Mi",
)


class ExporterArgs(Args):
    """One program of Prometheus' kind for all servers of an engine: who scrapes names the server
    with each request."""

    namespace: Text
    namespace_name: str = "monitoring"
    """The namespace's name as plain text: certificates need DNS names at once."""
    image: Image
    pull_secrets: tuple[str, ...] = ()
    authority: CertificateAuthority
    ca: Files
    """Bundle of the internal CA, in the same namespace."""
    command: tuple[str, ...]
    """Serves TLS with the pair in `paths.TLS`."""
    port: int
    health_path: str = "/"
    """Answered without asking a server."""
    config: Mapping[str, Text]
    """File name to text, at `CONFIG_PATH`; read once, so pods are rolled for another one. Holds
    passwords."""
    after: tuple[pulumi.Resource, ...] = ()
    """What teaches servers the passwords: pods hear of them only then."""
    resources: Resources = SMALL
    startup_seconds: int = Field(default=_STARTUP_SECONDS, ge=2)


class Exporter(pulumi.ComponentResource):
    """A Deployment of one pod, without a disruption budget: while it is gone nothing is lost but a
    few scrapes. It reads its certificate and the CA again by itself.

    Makes: ServiceAccount (no token), Certificate `<name>-tls`, Secret `<name>-config`, Deployment
    and Service `<name>`.
    """

    service_name: pulumi.Output[str]
    """Known once the Deployment is available."""

    def __init__(
        self, name: str, args: ExporterArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:monitoring:Exporter", name, None, opts)
        check_name(name)
        child = pulumi.ResourceOptions(parent=self)
        label = objects.labels(name, "exporter")
        pods.service_account(name, objects.metadata(name, args.namespace, label), child)
        tls = Certificate(
            f"{name}-tls",
            CertificateArgs(
                authority=args.authority,
                namespace=args.namespace,
                secret_name=f"{name}-tls",
                common_name=name,
                dns_names=tuple(services.host_names(name, args.namespace_name)),
            ),
            child,
        ).files
        mounts = (
            Mount(files=args.ca.followed, path=paths.CA),
            Mount(files=tls.followed, path=paths.TLS),
            Mount(files=_config(name, args, self), path=CONFIG_PATH),
        )
        made = k8s.apps.v1.Deployment(
            name,
            metadata=objects.metadata(
                name, args.namespace, label, objects.awaited(args.startup_seconds)
            ),
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=1,
                progress_deadline_seconds=objects.PULUMI_SECONDS + args.startup_seconds,
                revision_history_limit=5,
                strategy=k8s.apps.v1.DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=k8s.apps.v1.RollingUpdateDeploymentArgs(
                        max_unavailable=0, max_surge=1
                    ),
                ),
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=objects.selector(name)),
                template=pods.template(
                    label, hashing.config_hash(versions(mounts)), _pod(name, args, mounts)
                ),
            ),
            opts=child,
        )
        service = services.cluster_service(
            name,
            args.namespace,
            label,
            {_PORT: args.port},
            child,
            startup_seconds=args.startup_seconds,
        )
        self.service_name = pulumi.Output.all(made.metadata, service.metadata).apply(lambda _: name)
        self.register_outputs({"service_name": self.service_name})


def _config(name: str, args: ExporterArgs, parent: pulumi.ComponentResource) -> Files:
    """The files, which change only after what teaches servers the passwords in them."""
    texts = {key: pulumi.Output.secret(text) for key, text in args.config.items()}
    secret = k8s.core.v1.Secret(
        f"{name}-config",
        metadata=objects.metadata(
            f"{name}-config", args.namespace, objects.labels(name, "exporter")
        ),
        type="Opaque",
        data={key: text.apply(encoded) for key, text in texts.items()},
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(args.after)),
    )
    # Random letters and digits are not found from a hash (as of `Password`).
    version = pulumi.Output.all(**texts).apply(
        lambda known: hashing.digest("\n".join(f"{key}:{known[key]}" for key in sorted(known)))
    )
    return Files(
        kind="Secret",
        name=secret.metadata.apply(objects.name_of),
        version=pulumi.Output.unsecret(version),
    )


def _pod(name: str, args: ExporterArgs, mounts: tuple[Mount, ...]) -> k8s.core.v1.PodSpecArgs:
    volumes = [files(mount) for mount in mounts]
    return pods.pod(
        name,
        containers=[
            containers.container(
                name,
                image=args.image,
                command=args.command,
                env=containers.variables(
                    {"GOMAXPROCS": "1", "GOMEMLIMIT": f"{_MEMORY * 3 // 4}MiB"}
                ),
                ports={_PORT: args.port},
                resources=args.resources,
                watched=Probes(
                    port=_PORT,
                    scheme="HTTPS",
                    startup_seconds=args.startup_seconds,
                    startup_path=args.health_path,
                    readiness_path=args.health_path,
                    # The same page, as neither asks a server: there is no other that is as cheap.
                    liveness_path=f"{args.health_path}?liveness",
                ),
                volumes=volumes,
                drain_seconds=_DRAIN_SECONDS,
            )
        ],
        volumes=volumes,
        uid=UID,
        pull_secrets=args.pull_secrets,
        spread=placement.spread(name),
    )

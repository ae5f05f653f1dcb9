"""What runs as one pod and keeps nothing: a Deployment with a certificate, and its address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components.kit import containers, hashing, objects, paths, placement, pods, services
from components.kit.args import Args, Files, Image, Mount, Resources, Text
from components.kit.names import check_name
from components.kit.probes import Probes
from components.kit.volumes import files, versions
from components.monitoring.web import go_runtime
from components.security.certificate import Certificate, CertificateArgs
from components.security.pki import CertificateAuthority

STARTUP_SECONDS: Final = 60
_DRAIN_SECONDS: Final = 5
_GRACE_SECONDS: Final = 30


class SingleArgs(Args):
    """What all of these are told."""

    namespace: Text
    namespace_name: str = "monitoring"
    """The namespace's name as plain text: certificates need DNS names at once."""
    image: Image
    pull_secrets: tuple[str, ...] = ()
    authority: CertificateAuthority
    ca: Files
    """Bundle of the internal CA, in the same namespace."""
    resources: Resources


@dataclass(frozen=True)
class Program:
    """One process."""

    uid: int
    component: str
    """Of its labels: what kind of program it is."""
    command: Sequence[str]
    ports: Mapping[str, int]
    probes: Probes
    config: Mapping[str, str] = field(default_factory=dict[str, str])
    """File name to text, at `paths.config(<name>)`."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    api_token: bool = False


def deploy(
    name: str, args: SingleArgs, program: Program, parent: pulumi.ComponentResource
) -> pulumi.Output[str]:
    """The Service's host, known once the pod is ready.

    One pod without a disruption budget: a drain starts the next one first, and what it loses is
    seconds of traces. Another certificate or CA rolls it.
    """
    check_name(name)
    child = pulumi.ResourceOptions(parent=parent)
    label = objects.labels(name, program.component)
    pods.service_account(name, objects.metadata(name, args.namespace, label), child)
    mounts = (
        Mount(files=args.ca, path=paths.CA),
        Mount(files=_certificate(name, args, child), path=paths.TLS),
        *_config(name, args, program, child),
    )
    made = k8s.apps.v1.Deployment(
        name,
        metadata=objects.metadata(name, args.namespace, label, objects.awaited(STARTUP_SECONDS)),
        spec=k8s.apps.v1.DeploymentSpecArgs(
            replicas=1,
            progress_deadline_seconds=objects.PULUMI_SECONDS + STARTUP_SECONDS,
            revision_history_limit=5,
            strategy=k8s.apps.v1.DeploymentStrategyArgs(
                type="RollingUpdate",
                rolling_update=k8s.apps.v1.RollingUpdateDeploymentArgs(
                    max_unavailable=0, max_surge=1
                ),
            ),
            selector=k8s.meta.v1.LabelSelectorArgs(match_labels=objects.selector(name)),
            template=pods.template(
                label, hashing.config_hash(versions(mounts)), _pod(name, args, program, mounts)
            ),
        ),
        opts=child,
    )
    service = services.cluster_service(
        name, args.namespace, label, program.ports, child, startup_seconds=STARTUP_SECONDS
    )
    host = services.host_name(name, args.namespace_name)
    return pulumi.Output.all(made.metadata, service.metadata).apply(lambda _: host)


def _certificate(name: str, args: SingleArgs, child: pulumi.ResourceOptions) -> Files:
    return Certificate(
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


def _config(
    name: str, args: SingleArgs, program: Program, child: pulumi.ResourceOptions
) -> tuple[Mount, ...]:
    if not program.config:
        return ()
    made = k8s.core.v1.ConfigMap(
        f"{name}-config",
        metadata=objects.metadata(
            f"{name}-config", args.namespace, objects.labels(name, program.component)
        ),
        data=dict(program.config),
        opts=child,
    )
    kept = Files(
        kind="ConfigMap",
        name=made.metadata.apply(objects.name_of),
        version=hashing.config_hash(program.config),
    )
    return (Mount(files=kept, path=paths.config(name)),)


def _pod(
    name: str, args: SingleArgs, program: Program, mounts: Sequence[Mount]
) -> k8s.core.v1.PodSpecArgs:
    seen = [files(mount) for mount in mounts]
    return pods.pod(
        name,
        containers=[
            containers.container(
                name,
                image=args.image,
                command=program.command,
                env=containers.variables({**go_runtime(args.resources), **program.env}),
                ports=program.ports,
                resources=args.resources,
                watched=program.probes,
                volumes=seen,
                drain_seconds=_DRAIN_SECONDS,
            )
        ],
        volumes=seen,
        uid=program.uid,
        pull_secrets=args.pull_secrets,
        grace_seconds=_GRACE_SECONDS,
        api_token=program.api_token,
        spread=placement.spread(name),
    )

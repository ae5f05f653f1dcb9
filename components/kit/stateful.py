"""StatefulSets: what every server with a stable name and a volume has in common.

Plain functions, used by the Kafka, PostgreSQL and Redis components; each passes itself as parent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components.kit import placement, pods
from components.kit.args import Files, Resources, Storage, Text
from components.kit.names import check_name
from components.kit.probes import BuiltProbes

DATA: Final = "data"


@dataclass(frozen=True)
class Server:
    """One StatefulSet, its headless Service `<name>-headless` and, for replicas, its PDB.

    `data_path` must be the very path the official image declares as a volume: containerd mounts
    an empty volume over any other, and the data would be gone with the container.
    """

    name: str
    component: str
    namespace: Text
    image: Text
    uid: int
    replicas: int
    command: Sequence[str]
    env: Mapping[str, Text]
    ports: Mapping[str, int]
    probes: BuiltProbes
    resources: Resources
    storage: Storage | None
    data_path: str
    volumes: Sequence[pods.Volume]
    config_hash: pulumi.Output[str]
    grace_seconds: int
    pull_secrets: Sequence[str] = ()
    settle_seconds: int = 0
    """How long a restarted replica must be ready before the next one is stopped."""
    one_per_host: bool = False
    """Replicas never share a host, so that losing it loses no majority and no second copy."""

    @property
    def rollout_seconds(self) -> int:
        """How long a rollout may take, as replicas are stopped and started one after the other."""
        each = self.grace_seconds + self.probes.startup_seconds + self.settle_seconds
        return self.replicas * each


def server(spec: Server, parent: pulumi.ComponentResource) -> k8s.apps.v1.StatefulSet:
    """Makes the ServiceAccount, headless Service, StatefulSet and PDB."""
    check_name(spec.name)
    child = pulumi.ResourceOptions(parent=parent)
    label = pods.labels(spec.name, spec.component)
    k8s.core.v1.ServiceAccount(
        spec.name,
        metadata=pods.metadata(spec.name, spec.namespace, label),
        automount_service_account_token=False,
        opts=child,
    )
    k8s.core.v1.Service(
        f"{spec.name}-headless",
        metadata=pods.metadata(f"{spec.name}-headless", spec.namespace, label),
        spec=k8s.core.v1.ServiceSpecArgs(
            cluster_ip="None",
            selector=pods.selector(spec.name),
            # Replicas must find each other before they can become ready.
            publish_not_ready_addresses=True,
            ports=service_ports(spec.ports),
        ),
        opts=child,
    )
    made = k8s.apps.v1.StatefulSet(
        spec.name,
        metadata=pods.metadata(
            spec.name, spec.namespace, label, pods.awaited(spec.rollout_seconds)
        ),
        spec=k8s.apps.v1.StatefulSetSpecArgs(
            replicas=spec.replicas,
            service_name=f"{spec.name}-headless",
            pod_management_policy="Parallel",
            revision_history_limit=5,
            min_ready_seconds=spec.settle_seconds,
            update_strategy=k8s.apps.v1.StatefulSetUpdateStrategyArgs(type="RollingUpdate"),
            selector=k8s.meta.v1.LabelSelectorArgs(match_labels=pods.selector(spec.name)),
            template=k8s.core.v1.PodTemplateSpecArgs(
                metadata=k8s.meta.v1.ObjectMetaArgs(
                    labels=label, annotations={pods.CONFIG_HASH: spec.config_hash}
                ),
                spec=_pod(spec),
            ),
            volume_claim_templates=[_claim(spec, spec.storage)] if spec.storage else None,
            persistent_volume_claim_retention_policy=_retention(spec.storage),
        ),
        opts=child,
    )
    if spec.replicas > 1:
        placement.disruption_budget(spec.name, spec.namespace, label, child, max_unavailable=1)
    return made


def _pod(spec: Server) -> k8s.core.v1.PodSpecArgs:
    data = k8s.core.v1.VolumeMountArgs(name=DATA, mount_path=spec.data_path)
    volumes = [volume.volume for volume in spec.volumes]
    if spec.storage is None:
        volumes.append(pods.scratch(DATA, spec.data_path, spec.resources.disk_limit).volume)
    return k8s.core.v1.PodSpecArgs(
        service_account_name=spec.name,
        automount_service_account_token=False,
        enable_service_links=False,
        image_pull_secrets=pods.pull_secrets(spec.pull_secrets),
        security_context=pods.pod_security(spec.uid),
        termination_grace_period_seconds=spec.grace_seconds,
        topology_spread_constraints=placement.spread(
            spec.name, hosts=spec.replicas if spec.one_per_host else 0
        ),
        containers=[
            k8s.core.v1.ContainerArgs(
                name=spec.name,
                image=spec.image,
                image_pull_policy="IfNotPresent",
                command=list(spec.command),
                env=[pods.pod_name_env("POD_NAME"), *pods.env(spec.env)],
                ports=[
                    k8s.core.v1.ContainerPortArgs(name=name, container_port=port, protocol="TCP")
                    for name, port in spec.ports.items()
                ],
                resources=pods.requirements(spec.resources),
                security_context=pods.container_security(),
                startup_probe=spec.probes.startup,
                readiness_probe=spec.probes.readiness,
                liveness_probe=spec.probes.liveness,
                volume_mounts=[data, *(volume.mount for volume in spec.volumes)],
            )
        ],
        volumes=volumes,
    )


def _claim(spec: Server, storage: Storage) -> k8s.core.v1.PersistentVolumeClaimArgs:
    return k8s.core.v1.PersistentVolumeClaimArgs(
        metadata=k8s.meta.v1.ObjectMetaArgs(name=DATA, labels=pods.selector(spec.name)),
        spec=k8s.core.v1.PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            storage_class_name=storage.storage_class,
            resources=k8s.core.v1.VolumeResourceRequirementsArgs(
                requests={"storage": storage.size}
            ),
        ),
    )


def _retention(
    storage: Storage | None,
) -> k8s.apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicyArgs | None:
    if storage is None:
        return None
    return k8s.apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicyArgs(
        when_deleted=storage.retention,
        # Scaling to nothing is how people stop a server for a moment; it must not cost its data.
        when_scaled="Retain",
    )


def config_files(
    name: str,
    namespace: Text,
    component: str,
    data: Mapping[str, str],
    parent: pulumi.ComponentResource,
    *,
    hooks: pulumi.ResourceHookBinding | None = None,
) -> Files:
    """A ConfigMap `<name>-config` of file names and texts."""
    made = k8s.core.v1.ConfigMap(
        f"{name}-config",
        metadata=pods.metadata(f"{name}-config", namespace, pods.labels(name, component)),
        data=dict(data),
        opts=pulumi.ResourceOptions(parent=parent, hooks=hooks),
    )
    return Files(
        kind="ConfigMap",
        name=made.metadata.apply(pods.name_of),
        version=pods.config_hash(data),
    )


def service_ports(ports: Mapping[str, int]) -> list[k8s.core.v1.ServicePortArgs]:
    return [
        k8s.core.v1.ServicePortArgs(name=name, port=port, target_port=name, protocol="TCP")
        for name, port in ports.items()
    ]


def service(
    name: str,
    namespace: Text,
    component: str,
    ports: Mapping[str, int],
    parent: pulumi.ComponentResource,
    *,
    startup_seconds: int,
    publish_not_ready: bool | None = None,
) -> k8s.core.v1.Service:
    """The ClusterIP Service clients use: ready replicas, unless others are published as well.

    Pulumi waits for the first.
    """
    return k8s.core.v1.Service(
        name,
        metadata=pods.metadata(
            name, namespace, pods.labels(name, component), pods.awaited(startup_seconds)
        ),
        spec=k8s.core.v1.ServiceSpecArgs(
            type="ClusterIP",
            selector=pods.selector(name),
            publish_not_ready_addresses=publish_not_ready,
            ports=service_ports(ports),
        ),
        opts=pulumi.ResourceOptions(parent=parent),
    )


def host_names(service_name: str, namespace: str) -> list[str]:
    """Every name a Service may be called by, shortest first."""
    full = f"{service_name}.{namespace}.svc.cluster.local"
    labels = full.split(".")
    return [".".join(labels[:count]) for count in (1, 2, 3, 5)]


def known_when_ready(
    host: str, made: k8s.apps.v1.StatefulSet, via: k8s.core.v1.Service
) -> pulumi.Output[str]:
    """`host` as an Output that resolves once the StatefulSet and its Service are ready."""
    return pulumi.Output.all(made.metadata, via.metadata).apply(lambda _: host)

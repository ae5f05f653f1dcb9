"""StatefulSets: replicas with a stable name and, mostly, a volume of their own."""

from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components.kit import objects, placement, services
from components.kit.args import Storage, Text

DATA: Final = "data"
"""The volume that keeps a server's data."""


def stateful_set(
    name: str,
    namespace: Text,
    label: Mapping[str, str],
    template: k8s.core.v1.PodTemplateSpecArgs,
    child: pulumi.ResourceOptions,
    *,
    replicas: int,
    ports: Mapping[str, int],
    storage: Storage | None,
    settle_seconds: int,
    rollout_seconds: int,
) -> k8s.apps.v1.StatefulSet:
    """A StatefulSet, its headless Service `<name>-headless` and, for replicas, its PDB.

    Args:
        storage: of the claim `DATA`; None: no claim.
        settle_seconds: how long a restarted replica must be ready before the next one is stopped.
        rollout_seconds: how long all replicas together may take to stop and start.
    """
    services.headless_service(name, namespace, label, ports, child)
    made = k8s.apps.v1.StatefulSet(
        name,
        metadata=objects.metadata(name, namespace, label, objects.awaited(rollout_seconds)),
        spec=k8s.apps.v1.StatefulSetSpecArgs(
            replicas=replicas,
            service_name=f"{name}-headless",
            pod_management_policy="Parallel",
            revision_history_limit=5,
            min_ready_seconds=settle_seconds,
            update_strategy=k8s.apps.v1.StatefulSetUpdateStrategyArgs(type="RollingUpdate"),
            selector=k8s.meta.v1.LabelSelectorArgs(match_labels=objects.selector(name)),
            template=template,
            volume_claim_templates=[_claim(name, storage)] if storage else None,
            persistent_volume_claim_retention_policy=_retention(storage),
        ),
        opts=child,
    )
    if replicas > 1:
        placement.disruption_budget(name, namespace, label, child, max_unavailable=1)
    return made


def _claim(name: str, storage: Storage) -> k8s.core.v1.PersistentVolumeClaimArgs:
    return k8s.core.v1.PersistentVolumeClaimArgs(
        metadata=k8s.meta.v1.ObjectMetaArgs(name=DATA, labels=objects.selector(name)),
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

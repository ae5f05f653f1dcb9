"""The one builder of pods, their templates and their accounts."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import pulumi
import pulumi_kubernetes as k8s

from components.kit.hashing import CONFIG_HASH
from components.kit.volumes import Volume

LOWEST_UID: Final = 10001
"""Below it a process could share its uid with an account of the node."""
TALKS_TO_API: Final = "millrace.dev/api-token"
"""Annotation of pods that are meant to; the policies refuse a token without it."""
READS_NODE_LOGS: Final = "millrace.dev/node-logs"
"""Annotation of pods, and of the namespace, that nodes lend their folder of logs; the policies
refuse any folder of a node without it, and any other with it."""


def service_account(
    name: str, metadata: k8s.meta.v1.ObjectMetaArgs, opts: pulumi.ResourceOptions
) -> k8s.core.v1.ServiceAccount:
    """An account whose pods get no token, unless one asks for it (`pod`'s `api_token`)."""
    return k8s.core.v1.ServiceAccount(
        name, metadata=metadata, automount_service_account_token=False, opts=opts
    )


def template(
    label: Mapping[str, str],
    config_hash: pulumi.Output[str],
    spec: k8s.core.v1.PodSpecArgs,
    *,
    reads_node_logs: bool = False,
) -> k8s.core.v1.PodTemplateSpecArgs:
    """Pods that are replaced when what is hashed changes, and say so when they have a token, or
    read what is the node's."""
    asked = {TALKS_TO_API: "asked for"} if spec.automount_service_account_token is True else {}
    asked |= {READS_NODE_LOGS: "asked for"} if reads_node_logs else {}
    return k8s.core.v1.PodTemplateSpecArgs(
        metadata=k8s.meta.v1.ObjectMetaArgs(
            labels=dict(label), annotations={CONFIG_HASH: config_hash} | asked
        ),
        spec=spec,
    )


def pod(
    account: str,
    *,
    containers: Sequence[k8s.core.v1.ContainerArgs],
    volumes: Sequence[Volume],
    uid: int,
    pull_secrets: Sequence[str] = (),
    spread: Sequence[k8s.core.v1.TopologySpreadConstraintArgs] = (),
    node_selector: Mapping[str, str] | None = None,
    grace_seconds: int | None = None,
    restart_policy: Literal["Never", "OnFailure"] | None = None,
    api_token: bool = False,
    affinity: k8s.core.v1.AffinityArgs | None = None,
    more_groups: Sequence[int] = (),
) -> k8s.core.v1.PodSpecArgs:
    """One pod that meets Pod Security `restricted`.

    Args:
        account: its ServiceAccount's name.
        containers: from `containers.container`; sidecars start first, in the order given.
        volumes: of all containers; those of claims are the StatefulSet's.
        uid: of every process, and of the group that owns mounted Secrets.
        pull_secrets: Secrets of the pod's namespace; none when its images are public.
        spread: from `placement.spread`.
        node_selector: labels of the nodes it may run on; none: any node.
        grace_seconds: from SIGTERM to SIGKILL; None: the cluster's 30.
        restart_policy: None: always, as Deployments and StatefulSets need it.
        api_token: whether its processes may ask the API server, as what the account may do.
        affinity: from `placement.together` or `placement.apart`; None: any host.
        more_groups: that its processes belong to, beside their own.

    Raises:
        ValueError: the uid is reserved for the node's accounts.
    """
    sidecars = [made for made in containers if made.restart_policy == "Always"]
    # Containers may share one.
    distinct = {id(volume.volume): volume.volume for volume in volumes}
    return k8s.core.v1.PodSpecArgs(
        service_account_name=account,
        automount_service_account_token=api_token,
        enable_service_links=False,
        image_pull_secrets=[k8s.core.v1.LocalObjectReferenceArgs(name=n) for n in pull_secrets]
        or None,
        restart_policy=restart_policy,
        security_context=_security(uid, more_groups),
        termination_grace_period_seconds=grace_seconds,
        node_selector=dict(node_selector or {}) or None,
        affinity=affinity,
        topology_spread_constraints=list(spread) or None,
        init_containers=sidecars or None,
        containers=[made for made in containers if made.restart_policy != "Always"],
        volumes=[volume for volume in distinct.values() if volume is not None] or None,
    )


def _security(uid: int, more_groups: Sequence[int]) -> k8s.core.v1.PodSecurityContextArgs:
    if uid < LOWEST_UID:
        raise ValueError(
            f"uid {uid} may belong to an account of the node, whose files a container escape would "
            f"own; use {LOWEST_UID} or higher"
        )
    return k8s.core.v1.PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=uid,
        run_as_group=uid,
        fs_group=uid,
        supplemental_groups=list(more_groups) or None,
        # Walks a big volume's files only when the root's owner is wrong.
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault"),
    )

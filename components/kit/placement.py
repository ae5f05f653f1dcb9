"""Replicas of one thing, seen from each other: where they may run, and how many may go at once."""

from collections.abc import Mapping
from typing import Final, Literal

import pulumi
import pulumi_kubernetes as k8s

from components.kit import objects
from components.kit.args import Text

TOGETHER: Final = "millrace.dev/together"
"""Label of pods that share a host, because they share a volume."""


def together(what: str) -> k8s.core.v1.AffinityArgs:
    """On the host where pods are that carry `TOGETHER` with the same text, if there are any.

    A claim that one host may write to at a time does not lead its pods together by itself: the
    second one would be sent anywhere, and wait there for a volume that is attached elsewhere. The
    first one carries the label itself, which is why it may go to any host.
    """
    return k8s.core.v1.AffinityArgs(
        pod_affinity=k8s.core.v1.PodAffinityArgs(
            required_during_scheduling_ignored_during_execution=[
                k8s.core.v1.PodAffinityTermArgs(
                    topology_key="kubernetes.io/hostname",
                    label_selector=k8s.meta.v1.LabelSelectorArgs(match_labels={TOGETHER: what}),
                )
            ]
        )
    )


def apart(name: str) -> k8s.core.v1.AffinityArgs:
    """On no host where a pod of `name` is, and none of it comes to where one of these is."""
    return k8s.core.v1.AffinityArgs(
        pod_anti_affinity=k8s.core.v1.PodAntiAffinityArgs(
            required_during_scheduling_ignored_during_execution=[
                k8s.core.v1.PodAffinityTermArgs(
                    topology_key="kubernetes.io/hostname",
                    label_selector=k8s.meta.v1.LabelSelectorArgs(
                        match_labels=objects.selector(name)
                    ),
                )
            ]
        )
    )


def spread(name: str, *, hosts: int = 0) -> list[k8s.core.v1.TopologySpreadConstraintArgs]:
    """Replicas in different zones and on different hosts.

    Zones are a wish: many clusters have one, or none with a label. Hosts are one too, unless
    `hosts` says how many the replicas need: then no host gets a second one, and what finds no host
    of its own waits for one. That suits what is stopped before its successor starts (a StatefulSet)
    and not a Deployment, whose rollout needs room for one pod more than it has replicas.
    """
    return [
        _constraint(name, "topology.kubernetes.io/zone", "ScheduleAnyway"),
        # Without minDomains two hosts could share three replicas: a skew of 1 is allowed.
        _constraint(name, "kubernetes.io/hostname", "DoNotSchedule", hosts)
        if hosts > 1
        else _constraint(name, "kubernetes.io/hostname", "ScheduleAnyway"),
    ]


def _constraint(
    name: str,
    key: str,
    otherwise: Literal["DoNotSchedule", "ScheduleAnyway"],
    domains: int | None = None,
) -> k8s.core.v1.TopologySpreadConstraintArgs:
    return k8s.core.v1.TopologySpreadConstraintArgs(
        max_skew=1,
        min_domains=domains,
        topology_key=key,
        when_unsatisfiable=otherwise,
        label_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=objects.selector(name)),
    )


def disruption_budget(
    name: str,
    namespace: Text,
    label: Mapping[str, str],
    child: pulumi.ResourceOptions,
    *,
    max_unavailable: int | None = None,
    min_available: int | None = None,
) -> None:
    """A budget that lets a drain evict; pods that are broken anyway never block it."""
    k8s.policy.v1.PodDisruptionBudget(
        name,
        metadata=objects.metadata(name, namespace, label),
        spec=k8s.policy.v1.PodDisruptionBudgetSpecArgs(
            max_unavailable=max_unavailable,
            min_available=min_available,
            unhealthy_pod_eviction_policy="AlwaysAllow",
            selector=k8s.meta.v1.LabelSelectorArgs(match_labels=objects.selector(name)),
        ),
        opts=child,
    )

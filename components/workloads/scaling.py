"""How many pods a workload has: a number, or a range that an autoscaler moves in."""

from collections.abc import Mapping
from typing import Self

import pulumi
import pulumi_kubernetes as k8s
from pydantic import Field, model_validator

from components.kit import objects, placement, rules
from components.kit.args import Args, Text


class Pace(Args):
    """How fast pods are added, or taken away."""

    after_seconds: int = Field(ge=0, le=3600)
    """How long it must have been wanted: a shorter peak, or lull, changes nothing."""
    pods: int = Field(ge=1)
    """So many at most in each period."""
    every_seconds: int = Field(ge=1, le=1800)
    """The period."""


class Scale(Args):
    """Between `min` and `max` pods, by the processor time they use."""

    min: int
    max: int
    cpu_percent: int = Field(default=40, ge=10, le=100)
    """Of what the container requests, on average over its pods."""
    up: Pace = Pace(after_seconds=0, pods=4, every_seconds=15)
    down: Pace = Pace(after_seconds=300, pods=1, every_seconds=60)

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        rules.check_scale(self.min, self.max)
        return self


def most(replicas: int | Scale) -> int:
    return replicas.max if isinstance(replicas, Scale) else replicas


def first(replicas: int | Scale) -> int:
    """For `spec.replicas` of a new Deployment."""
    return replicas.min if isinstance(replicas, Scale) else replicas


def left_alone(replicas: int | Scale) -> list[str]:
    """What Pulumi leaves alone once the Deployment is there: the autoscaler's number.

    Left out instead, it would be one pod with the first `up`, and one again whenever a number
    becomes a range: what nobody asks for any more falls back to Kubernetes' default.
    """
    return ["spec.replicas"] if isinstance(replicas, Scale) else []


def build(
    name: str,
    namespace: Text,
    label: Mapping[str, str],
    child: pulumi.ResourceOptions,
    *,
    replicas: int | Scale,
    min_available: int | None,
) -> None:
    """The disruption budget where there may be two pods, and the autoscaler of a range."""
    if isinstance(replicas, Scale):
        _autoscaler(name, namespace, label, replicas, child)
        placement.disruption_budget(name, namespace, label, child, max_unavailable=1)
    elif replicas > 1:
        wanted = min_available or replicas - 1
        placement.disruption_budget(name, namespace, label, child, min_available=wanted)


def _autoscaler(
    name: str,
    namespace: Text,
    label: Mapping[str, str],
    scale: Scale,
    child: pulumi.ResourceOptions,
) -> None:
    k8s.autoscaling.v2.HorizontalPodAutoscaler(
        name,
        metadata=objects.metadata(name, namespace, label),
        spec=k8s.autoscaling.v2.HorizontalPodAutoscalerSpecArgs(
            scale_target_ref=k8s.autoscaling.v2.CrossVersionObjectReferenceArgs(
                api_version="apps/v1", kind="Deployment", name=name
            ),
            min_replicas=scale.min,
            max_replicas=scale.max,
            behavior=k8s.autoscaling.v2.HorizontalPodAutoscalerBehaviorArgs(
                scale_up=_rules(scale.up), scale_down=_rules(scale.down)
            ),
            metrics=[
                # Of the service's own container: an idle sidecar would dilute a pod's average.
                k8s.autoscaling.v2.MetricSpecArgs(
                    type="ContainerResource",
                    container_resource=k8s.autoscaling.v2.ContainerResourceMetricSourceArgs(
                        container=name,
                        name="cpu",
                        target=k8s.autoscaling.v2.MetricTargetArgs(
                            type="Utilization", average_utilization=scale.cpu_percent
                        ),
                    ),
                )
            ],
        ),
        opts=child,
    )


def _rules(pace: Pace) -> k8s.autoscaling.v2.HPAScalingRulesArgs:
    return k8s.autoscaling.v2.HPAScalingRulesArgs(
        stabilization_window_seconds=pace.after_seconds,
        policies=[
            k8s.autoscaling.v2.HPAScalingPolicyArgs(
                type="Pods", value=pace.pods, period_seconds=pace.every_seconds
            )
        ],
    )

"""How many pods a workload has: a number, or a range that an autoscaler moves in."""

from collections.abc import Mapping
from typing import Self

import pulumi
import pulumi_kubernetes as k8s
from pydantic import Field, model_validator

from components.kit import objects, placement
from components.kit.args import Args, Text


class Scale(Args):
    """Between `min` and `max` pods, by the processor time they use."""

    min: int = Field(ge=1)
    max: int = Field(ge=2)
    cpu_percent: int = Field(default=70, ge=10, le=100)
    """Of what the container requests, on average over its pods."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.max <= self.min:
            raise ValueError(
                f"max ({self.max}) is not above min ({self.min}), so nothing would scale; raise "
                "max, or give a number of replicas"
            )
        return self


def most(replicas: int | Scale) -> int:
    return replicas.max if isinstance(replicas, Scale) else replicas


def fixed(replicas: int | Scale) -> int | None:
    """For `spec.replicas`: with a range it is the autoscaler's, and each update would reset it."""
    return None if isinstance(replicas, Scale) else replicas


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

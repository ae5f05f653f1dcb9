"""What every object of ours carries: its name, its labels, and how long Pulumi waits for it."""

from collections.abc import Mapping
from typing import Final

import pulumi_kubernetes as k8s

from components.kit.args import Text

PULUMI_SECONDS: Final = 600
"""What Pulumi waits by itself: for scheduling, attaching volumes and pulling images."""


def labels(name: str, component: str) -> dict[str, str]:
    """The labels of every object of ours; `name` selects, the others describe."""
    return {
        **selector(name),
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "millrace",
        "app.kubernetes.io/managed-by": "pulumi",
    }


def selector(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": name}


def metadata(
    name: Text,
    namespace: Text,
    label: Mapping[str, str],
    annotations: Mapping[str, Text] | None = None,
) -> k8s.meta.v1.ObjectMetaArgs:
    return k8s.meta.v1.ObjectMetaArgs(
        name=name, namespace=namespace, labels=dict(label), annotations=annotations or None
    )


def awaited(budget_seconds: int) -> dict[str, Text]:
    """The annotation that makes Pulumi wait for an object as long as its pods may take.

    `budget_seconds` comes on top of `PULUMI_SECONDS`.
    """
    return {"pulumi.com/timeoutSeconds": str(PULUMI_SECONDS + budget_seconds)}


def name_of(made: k8s.meta.v1.outputs.ObjectMeta) -> str:
    """The object's name: `resource.metadata.apply(name_of)` waits until the object is there."""
    assert made.name is not None
    return made.name

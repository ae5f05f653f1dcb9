"""Section of a stack file: the load generator on the cluster."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from infra.model.settings.base import ResourceSettings, Settings, Stated, size


class LoadtestSettings(Settings):
    """Whether `make load WHERE=cluster` finds what it takes. Nothing runs between two runs of it,
    and nothing is requested."""

    enabled: bool = False
    """Makes the namespace loadtest, the load generator's image, and what its pods are made of."""
    workers: Annotated[int, Field(ge=1, le=64)] = 4
    """Pods that the users are spread over, if `WORKERS` does not say otherwise. A worker is one
    process, so it uses one core at most: about a thousand requests a second."""
    resources: ResourceSettings = size("1", "512Mi", "2", "1Gi")
    """Of each worker, and of the master, which leads them. A worker that gets less than the core it
    wants measures its own delays."""
    node_selector: Mapping[Stated, str] = {}
    """Labels of the nodes that these pods may run on: best those that the platform does not use. No
    label: any node."""

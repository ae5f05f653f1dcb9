"""What a rule sees: a resource as Pulumi registers it, and how to find the pods in it.

Plain data with no Pulumi import, so the same rules run over mock-recorded resources in pytest, in
`pulumi preview --policy-pack`, and over an exported state.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

Table = Mapping[str, Any]


class Unknown:
    """The value is not known before the update (a build's digest, a generated password)."""

    def __repr__(self) -> str:
        return "(known after the update)"


UNKNOWN: Final = Unknown()

LONG_RUNNING: Final = ("Deployment", "StatefulSet", "DaemonSet")


@dataclass(frozen=True)
class Resource:
    """One registered resource.

    `type` is Pulumi's type token (`kubernetes:apps/v1:Deployment`), `props` its inputs with the
    wire's camelCase keys, `protect` the resource option.
    """

    type: str
    name: str
    props: Table
    protect: bool = False

    @property
    def kind(self) -> str:
        """The Kubernetes kind; empty for resources of other providers."""
        if not self.type.startswith("kubernetes:"):
            return ""
        kind = self.type.rpartition(":")[2]
        return kind.removesuffix("Patch")

    @property
    def namespace(self) -> object:
        return table(self.props, "metadata").get("namespace", "default")

    @property
    def long_running(self) -> bool:
        return self.kind in LONG_RUNNING

    @property
    def replicas(self) -> int:
        """Replicas asked for; Kubernetes' own default is 1."""
        count = table(self.props, "spec").get("replicas", 1)
        return int(count) if isinstance(count, int | float) else 1

    @property
    def single(self) -> bool:
        """One replica for good. Where a Deployment does not say how many, another does."""
        left_open = self.kind == "Deployment" and "replicas" not in table(self.props, "spec")
        return self.replicas == 1 and not left_open


@dataclass(frozen=True)
class Pod:
    """The pod a workload makes."""

    metadata: Table
    spec: Table

    @property
    def labels(self) -> Table:
        return table(self.metadata, "labels")

    @property
    def annotations(self) -> Table:
        return table(self.metadata, "annotations")

    def containers(self) -> Iterator[tuple[str, Table]]:
        """Name and spec of every container, init containers included."""
        for kind in ("initContainers", "containers"):
            for container in rows(self.spec, kind):
                yield str(container.get("name", "?")), container

    def main_containers(self) -> Iterator[tuple[str, Table]]:
        """Name and spec of the containers that run as long as the pod does."""
        for container in rows(self.spec, "containers"):
            yield str(container.get("name", "?")), container


def table(value: object, *path: str) -> Table:
    """The table at a path of keys; empty where there is none."""
    for key in path:
        value = cast(Table, value).get(key) if isinstance(value, Mapping) else None
    return cast(Table, value) if isinstance(value, Mapping) else {}


def rows(value: object, *path: str) -> Sequence[Table]:
    """The list of tables at a path of keys; empty where there is none."""
    found: object = table(value, *path[:-1]).get(path[-1])
    if isinstance(found, Sequence) and not isinstance(found, str):
        items = cast(Sequence[object], found)
        return [cast(Table, item) for item in items if isinstance(item, Mapping)]
    return []


def pod_of(resource: Resource) -> Pod | None:
    """The pod template of a workload, or None when the resource makes no pods."""
    spec = table(resource.props, "spec")
    match resource.kind:
        case "Pod":
            return Pod(table(resource.props, "metadata"), spec)
        case "PodTemplate":
            template = table(resource.props, "template")
        case "CronJob":
            template = table(spec, "jobTemplate", "spec", "template")
        case "Deployment" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicaSet":
            template = table(spec, "template")
        case _:
            return None
    return Pod(table(template, "metadata"), table(template, "spec"))


def selects(selector: Table, labels: Table) -> bool:
    """True when a non-empty `matchLabels` (or Service) selector matches these labels."""
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())

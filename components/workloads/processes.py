"""What a Deployment's and a Job's arguments have in common: one process of the services image."""

from collections.abc import Mapping
from typing import Self

import pulumi
import pulumi_kubernetes as k8s
from pydantic import model_validator

from components.kit import hashing, objects, paths, placement, pods, rules, volumes
from components.kit.args import Args, Files, Image, Mount, Resources, Text
from components.kit.bindings import Binding
from components.kit.quantities import Quantity


class Kept(Args):
    """A claim, and where the process sees it."""

    name: str
    """Of the volume in the pod."""
    path: str
    claim: Text


class ProcessArgs(Args):
    """One container of the services image. It gets SERVICE_NAME from the component's name, the CA
    bundle at `paths.CA` and a writable /tmp."""

    namespace: Text
    image: Image
    command: tuple[str, ...]
    resources: Resources
    ca: Files
    """Bundle of the internal CA, in the same namespace."""
    bindings: tuple[Binding, ...] = ()
    env: Mapping[str, Text] = {}
    mounts: tuple[Mount, ...] = ()
    pull_secrets: tuple[str, ...] = ()
    """Secrets of the namespace that open the image's registry."""
    storage: tuple[Kept, ...] = ()
    """Claims it reads and writes."""
    tmp_size: Quantity = "64Mi"
    uid: int = pods.LOWEST_UID

    @property
    def all_env(self) -> dict[str, Text]:
        merged: dict[str, Text] = {}
        for values in (*(binding.env for binding in self.bindings), self.env):
            merged.update(values)
        return merged

    @property
    def all_mounts(self) -> tuple[Mount, ...]:
        of_bindings = (mount for binding in self.bindings for mount in binding.mounts)
        return (Mount(files=self.ca, path=paths.CA), *of_bindings, *self.mounts)

    @model_validator(mode="after")
    def _environment_is_clean(self) -> Self:
        rules.check_env(self.all_env)
        volumes.check_mounts(self.all_mounts)
        return self

    def volumes(self, more: tuple[Mount, ...] = ()) -> list[volumes.Volume]:
        """The writable /tmp, the claims, and every mount as files."""
        return [
            volumes.scratch("tmp", "/tmp", self.tmp_size),  # noqa: S108 - the root is read-only
            *(volumes.claim(kept.name, kept.path, kept.claim) for kept in self.storage),
            *(volumes.files(mount) for mount in (*self.all_mounts, *more)),
        ]


class BackgroundArgs(ProcessArgs):
    """A process that no client calls: told what to do by a document, beside others of its kind."""

    component: str = "job"
    """Label app.kubernetes.io/component."""
    spec: Text | None = None
    """JSON mounted at `paths.SPEC_FILE`. Names files, never holds a secret."""
    together: str | None = None
    """Shares a host with all pods that say the same (`placement.together`)."""

    def labels(self, name: str) -> dict[str, str]:
        """Of its pods."""
        shared = {placement.TOGETHER: self.together} if self.together else {}
        return objects.labels(name, self.component) | shared

    @property
    def affinity(self) -> k8s.core.v1.AffinityArgs | None:
        return placement.together(self.together) if self.together else None

    def spec_mounts(self, name: str, child: pulumi.ResourceOptions) -> tuple[Mount, ...]:
        """ConfigMap `<name>-spec`, made if there is a document for it, where pods look for it."""
        if self.spec is None:
            return ()
        made = k8s.core.v1.ConfigMap(
            f"{name}-spec",
            metadata=objects.metadata(
                f"{name}-spec", self.namespace, objects.labels(name, self.component)
            ),
            data={"spec.json": self.spec},
            opts=child,
        )
        files = Files(
            kind="ConfigMap",
            name=made.metadata.apply(objects.name_of),
            version=hashing.config_hash({"spec": self.spec}),
        )
        return (Mount(files=files, path=paths.SPEC),)

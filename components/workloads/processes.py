"""What a Deployment's and a Job's arguments have in common: one process of the services image."""

from collections.abc import Mapping
from typing import Self

from pydantic import model_validator

from components.kit import paths, pods, rules, volumes
from components.kit.args import Args, Files, Image, Mount, Resources, Text
from components.kit.bindings import Binding
from components.kit.quantities import Quantity


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
        """The writable /tmp, and every mount as files."""
        return [
            volumes.scratch("tmp", "/tmp", self.tmp_size),  # noqa: S108 - the root is read-only
            *(volumes.files(mount) for mount in (*self.all_mounts, *more)),
        ]

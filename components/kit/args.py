"""What all components' arguments have in common.

Arguments are frozen and refuse unknown keys, so a typing mistake fails in the preview. A secret
value is never one of them: arguments hold Outputs and references to Secret objects (`Files`).
"""

from typing import Annotated, Literal, Self, TypeAlias

import pulumi
from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from components.kit import rules
from components.kit.quantities import Quantity
from components.kit.references import check_reference

Text: TypeAlias = str | pulumi.Output[str]
"""Known now, or only once another resource exists."""


def _image(value: Text) -> Text:
    return check_reference(value) if isinstance(value, str) else value.apply(check_reference)


Image: TypeAlias = Annotated[Text, AfterValidator(_image)]


class Args(BaseModel):
    """Base of all components' arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Resources(Args):
    """Requests and limits of one container: cores, and bytes of memory and of local disk.

    Local disk is the writable layer, logs and disk-backed emptyDirs; without a limit one pod's
    logs can evict its neighbours.
    """

    cpu_request: Quantity
    cpu_limit: Quantity
    memory_request: Quantity
    memory_limit: Quantity
    disk_request: Quantity = "64Mi"
    disk_limit: Quantity = "512Mi"

    @model_validator(mode="after")
    def _limits_hold_requests(self) -> Self:
        for what in ("cpu", "memory", "disk"):
            request, limit = getattr(self, f"{what}_request"), getattr(self, f"{what}_limit")
            rules.check_limit(f"{what}_limit", limit, f"{what}_request", request)
        return self


class Files(Args):
    """A Secret or ConfigMap of one namespace, to be mounted as files, one per key.

    `version` changes with the content and is not secret: it goes into pods' config hash, so that
    a renewed certificate or password rolls the pods that read it.
    """

    kind: Literal["Secret", "ConfigMap"]
    name: pulumi.Output[str]
    version: pulumi.Output[str]

    @property
    def followed(self) -> Self:
        """For who reads them again when they change, and so is not rolled for it."""
        return self.model_copy(update={"version": pulumi.Output.from_input("followed")})

    def outputs(self) -> dict[str, pulumi.Output[str]]:
        """What a component registers for this attribute."""
        return {"name": self.name, "version": self.version}


class Mount(Args):
    """`files` as the directory `path`, read-only."""

    files: Files
    path: str


class Storage(Args):
    """A persistent volume claim of every pod of a StatefulSet."""

    size: Quantity
    storage_class: str | None = None
    """None: the cluster's default class."""
    retention: Literal["Retain", "Delete"] = "Retain"
    """What happens to the claims when the StatefulSet is deleted or scaled down."""

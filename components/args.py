"""What all components' arguments have in common.

Arguments are frozen and refuse unknown keys, so a typing mistake fails in the preview. A secret
value is never one of them: arguments hold Outputs and references to Secret objects (`Files`).
"""

import re
from typing import Annotated, Final, Literal, Self, TypeAlias

import pulumi
from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

Text: TypeAlias = str | pulumi.Output[str]
"""Known now, or only once another resource exists."""

_UNITS: Final[dict[str, float]] = {
    "": 1,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_QUANTITY: Final = re.compile(r"^(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")
_LABEL: Final = re.compile(r"^[a-z]([a-z0-9-]*[a-z0-9])?$")
_BARE_MAJOR: Final = re.compile(r"^v?\d{1,3}(-[a-z][\w.]*)*$")
LONGEST_NAME: Final = 52
"""A StatefulSet's pods carry `<name>-<10 hex digits>` in a label of at most 63 characters."""


def amount(quantity: str) -> float:
    """A Kubernetes quantity in base units (cores or bytes).

    Raises:
        ValueError: the text is not a quantity.
    """
    match = _QUANTITY.match(quantity)
    if match is None:
        raise ValueError(
            f"{quantity!r} is not a Kubernetes quantity; write cores like '250m' and bytes like "
            "'512Mi'"
        )
    return float(match[1]) * _UNITS[match[2] or ""]


def mebibytes(quantity: str) -> int:
    """A quantity of bytes in whole MiB, rounded down."""
    return int(amount(quantity) // 2**20)


def check_name(name: str, longest: int = LONGEST_NAME) -> str:
    """The name itself when every object and label made from it is valid.

    Raises:
        ValueError: too long, or not a DNS label that starts with a letter.
    """
    if len(name) > longest:
        raise ValueError(
            f"name {name!r} has {len(name)} characters, so labels made from it exceed 63 and the "
            f"API server refuses the object; shorten it to {longest}"
        )
    if _LABEL.match(name) is None:
        raise ValueError(
            f"name {name!r} is not a DNS label, so no Service can carry it; use lower-case "
            "letters, digits and '-', starting with a letter"
        )
    return name


def moves(tag: str) -> bool:
    """True of a tag that is given to another image with every release: `latest`, `17-trixie`.

    A word without a number and a bare major version always move. Whether `8.0` does depends on
    how the project counts; `infra.images` knows it of the official images.
    """
    return not any(c.isdigit() for c in tag) or _BARE_MAJOR.match(tag) is not None


def check_image(image: str) -> str:
    """The reference itself when it means the same image tomorrow.

    Raises:
        ValueError: neither digest nor tag, or a tag that moves.
    """
    repository, _, digest = image.partition("@")
    tag = repository.rpartition("/")[2].partition(":")[2]
    if not digest and moves(tag):
        raise ValueError(
            f"image {image!r} means another image tomorrow, and pods of one rollout could differ; "
            "name a digest (@sha256:…) or an exact tag"
        )
    return image


def _quantity(value: str) -> str:
    amount(value)
    return value


def _image(value: Text) -> Text:
    return check_image(value) if isinstance(value, str) else value.apply(check_image)


Quantity: TypeAlias = Annotated[str, AfterValidator(_quantity)]
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
            if amount(limit) < amount(request):
                raise ValueError(
                    f"{what}_limit ({limit}) is below {what}_request ({request}), which the API "
                    "server refuses; raise the limit or lower the request"
                )
        return self


class Files(Args):
    """A Secret or ConfigMap of one namespace, to be mounted as files, one per key.

    `version` changes with the content and is not secret: it goes into pods' config hash, so that
    a renewed certificate or password rolls the pods that read it.
    """

    kind: Literal["Secret", "ConfigMap"]
    name: pulumi.Output[str]
    version: pulumi.Output[str]

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

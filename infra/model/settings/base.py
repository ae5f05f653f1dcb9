"""What all sections of a stack file share: their base, quantities, and how a mistake is told."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Final, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from components.kit import rules
from components.kit.quantities import amount
from components.kit.references import check_reference
from infra.model.records import RECORDS, Records

_DNS_LABEL: Final = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DNS_NAME: Final = rf"{_DNS_LABEL}(\.{_DNS_LABEL})*"
_LONGEST_DNS_NAME: Final = 253
_IDENTIFIER: Final = "[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?"


def _cores(quantity: str) -> str:
    """Cores, like `250m` or `1`."""
    if amount(quantity) < 0.001 or quantity[-1] in "kMGTi":
        raise ValueError(f"{quantity!r} is not a number of cores; write it like '250m' or '1'")
    return quantity


def _bytes(quantity: str) -> str:
    """Bytes, like `512Mi` or `2Gi`; at least `1Mi`."""
    if amount(quantity) < 2**20:
        raise ValueError(f"{quantity!r} is less than 1Mi; write it like '512Mi' or '2Gi'")
    return quantity


def _dns_name(text: str) -> str:
    """A DNS name, like `mill.example`: at most 253 characters, in labels of at most 63."""
    if len(text) > _LONGEST_DNS_NAME or not re.fullmatch(_DNS_NAME, text):
        raise ValueError(
            f"{text!r} is not a DNS name; write it in lower case like 'mill.example': labels of "
            "letters, digits and inner '-', each of 1 to 63 characters, joined by dots, "
            f"{_LONGEST_DNS_NAME} in all"
        )
    return text


def _identifier(text: str) -> str:
    """A name of at most 63 lower-case letters, digits and inner `-` and `.`."""
    if not re.fullmatch(_IDENTIFIER, text):
        raise ValueError(
            f"{text!r} cannot be a name; write it like 'mill-prod': at most 63 lower-case letters, "
            "digits and, except at its ends, '-' and '.'"
        )
    return text


def _stated(text: str) -> str:
    """Text, not empty."""
    if not text:
        raise ValueError("is empty, which names nothing; write a name, or remove the key")
    return text


Cpu = Annotated[str, AfterValidator(_cores)]
Bytes = Annotated[str, AfterValidator(_bytes)]
ImageReference = Annotated[str, AfterValidator(check_reference)]
DnsName = Annotated[
    str,
    AfterValidator(_dns_name),
    WithJsonSchema({"type": "string", "pattern": f"^{_DNS_NAME}$", "maxLength": _LONGEST_DNS_NAME}),
]
Identifier = Annotated[
    str,
    AfterValidator(_identifier),
    WithJsonSchema({"type": "string", "pattern": f"^{_IDENTIFIER}$"}),
]
Stated = Annotated[str, AfterValidator(_stated), WithJsonSchema({"type": "string", "minLength": 1})]
Incarnation = Annotated[int, Field(ge=1)]


def records(info: ValidationInfo) -> Records:
    """The population the document is about: the platform's own, unless the caller has another."""
    return cast("Mapping[str, Records]", info.context or {}).get("records", RECORDS)


def keys(names: tuple[str, ...]) -> Any:
    """Tells editors and the reference which keys a table may have."""
    return Field(json_schema_extra={"propertyNames": {"enum": list(names)}})


class Settings(BaseModel):
    """Base of all: immutable, strict about types, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        use_attribute_docstrings=True,
    )


class Amounts(Settings):
    """How much of the machine: cores and bytes, in Kubernetes' notation."""

    cpu: Cpu
    """Processor time."""
    memory: Bytes
    """Memory."""


class ResourceSettings(Settings):
    """Requests and limits of one container."""

    requests: Amounts
    """What the scheduler keeps free for the container."""
    limits: Amounts
    """What the container may use at most."""

    @model_validator(mode="after")
    def _limits_hold_requests(self) -> Self:
        """Each of `limits` is at least what `requests` says; the API server refuses less."""
        for what in ("cpu", "memory"):
            request, limit = getattr(self.requests, what), getattr(self.limits, what)
            rules.check_limit(f"limits.{what}", limit, f"requests.{what}", request)
        return self


def size(cpu: str, memory: str, cpu_limit: str, memory_limit: str) -> ResourceSettings:
    """A default."""
    return ResourceSettings(
        requests=Amounts(cpu=cpu, memory=memory), limits=Amounts(cpu=cpu_limit, memory=memory_limit)
    )


def unknown(what: str, name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"there is no {what} {name!r}; {hint}known: {', '.join(known) or 'none'}"


def check_volume(size: str, least: str, holds: str) -> str:
    """Refuses a volume that could not hold what it is for."""
    if amount(size) < amount(least):
        raise ValueError(f"{size} is too small for {holds}; write {least!r} or more")
    return size


def check_share(key: str, value: str, resources: ResourceSettings, share: float) -> None:
    rules.check_share(key, value, "limits.memory", resources.limits.memory, share)

"""Resources as the API takes and gives them, and as events carry them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.contracts.ids import UUID7_PATTERN, is_uuid7


class Status(StrEnum):
    """The life of a resource. "deleted" appears in events only: a deleted resource is gone."""

    PENDING = "pending"
    ACTIVE = "active"
    INACTIVE = "inactive"
    ARCHIVED = "archived"


def _storable(text: str) -> str:
    # PostgreSQL stores neither; JSON can carry both.
    if "\0" in text:
        raise ValueError("must not contain the NUL character")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("must not contain lone surrogates")
    return text


def _resource_id(text: str) -> str:
    if not is_uuid7(text):
        raise ValueError("must be a UUIDv7 in lower case, as POST returns it")
    return text


# The patterns are for the documentation: they say what the validators refuse. Lone surrogates are
# not in it: few engines of regular expressions can name them, and few clients can send them.
Text = Annotated[
    str,
    AfterValidator(_storable),
    Field(json_schema_extra={"pattern": r"^[^\u0000]*$"}),
]
ResourceId = Annotated[
    str,
    AfterValidator(_resource_id),
    Field(
        description="UUIDv7",
        examples=["01a1fb67-1800-7000-8000-000000000000"],
        json_schema_extra={"pattern": f"^{UUID7_PATTERN}$"},
    ),
]


class ResourceInput(BaseModel):
    """What a client decides. PUT replaces all of it: a field left out gets its default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[Text, Field(min_length=1, max_length=255)]
    description: Annotated[Text, Field(max_length=10_000)] | None = None
    status: Status = Status.ACTIVE


class Resource(BaseModel):
    """A stored resource. `version` starts at 1 and grows by 1 with every change."""

    model_config = ConfigDict(frozen=True)

    id: ResourceId
    name: str
    description: str | None
    status: Status
    version: int
    created_at: datetime
    updated_at: datetime


class ResourcePage(BaseModel):
    """Newest first. `next_cursor` is null on the last page."""

    items: list[Resource]
    next_cursor: str | None

"""Pages of documents, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from services.shared.documents import cursors
from services.shared.documents.cursors import Position
from services.shared.documents.openapi import DOCUMENT

PAGE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "items": DOCUMENT,
        },
        "next_cursor": {"type": ["string", "null"]},
    },
    "required": ["items", "next_cursor"],
}


class ListQuery(BaseModel):
    """Keyset pagination: a page costs the same wherever it lies."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=50, ge=1, le=200)
    cursor: Annotated[
        str | None, WithJsonSchema({"type": "string", "pattern": cursors.PATTERN})
    ] = Field(default=None, description="next_cursor of the page before; no other is accepted")


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as the database gives it: JSON already."""

    document: str
    position: Position


def page(found: Sequence[Stored], limit: int) -> bytes:
    """The answer to a query for `limit` documents. `found` has one more if there are more."""
    following = "null"
    if len(found) > limit:
        following = f'"{cursors.encode(found[limit - 1].position)}"'
    listed = ",".join(item.document for item in found[:limit])
    return f'{{"items":[{listed}],"next_cursor":{following}}}'.encode()

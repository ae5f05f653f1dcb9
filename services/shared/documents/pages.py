"""Pages of documents as clients ask for them and see them described."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from services.shared.documents import cursors
from services.shared.documents.newest import MOST_BYTES
from services.shared.documents.openapi import DOCUMENT

PAGE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "items": DOCUMENT,
            "description": (
                f"As many as were asked for, or as fit into {MOST_BYTES // 2**20} MiB, and one at"
                " least; fewer do not mean that these are the last."
            ),
        },
        "next_cursor": {
            "type": ["string", "null"],
            "description": "Where the next page begins; null on the last one.",
        },
    },
    "required": ["items", "next_cursor"],
}


class ListQuery(BaseModel):
    """Keyset pagination: a page costs the same wherever it lies."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=50, ge=1, le=200, description="Most documents on the page")
    cursor: Annotated[
        str | None, WithJsonSchema({"type": "string", "pattern": cursors.PATTERN})
    ] = Field(default=None, description="next_cursor of the page before; no other is accepted")

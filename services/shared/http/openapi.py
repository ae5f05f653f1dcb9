"""What every service's OpenAPI document says of problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.shared.http.problem import MEDIA_TYPE, ProblemDocument


def problems(reasons: Mapping[int, str], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers of a route that are problem documents; 500 and 503 are among them always."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": reasons[status], "content": {MEDIA_TYPE: schema}}
        for status in (*statuses, 500, 503)
    }


def describe_problems(document: dict[str, Any]) -> dict[str, Any]:
    """Put the schema of problems into `document`, in place of the framework's; its schemas."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schema = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas["Problem"] = schema
    # FastAPI's own error shape, which nothing here ever answers with.
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return schemas

"""What the OpenAPI document says of documents beside what the framework finds out by itself."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from services.shared.documents import bodies
from services.shared.http import openapi as shared

_REASONS = {
    400: "The body or a header cannot be read",
    404: "No document has this id",
    413: "The body is too large",
    415: "The body is not declared as JSON",
    422: "A document, field or parameter is refused; `errors` names each",
    500: "An error of ours; report its correlation_id",
    503: "Nothing can be taken, or read, at the moment; Retry-After says when to try again",
}
DOCUMENT = {"$ref": "#/components/schemas/Document"}
_DOCUMENT: dict[str, Any] = {
    "type": "object",
    "description": (
        "Any JSON object whose texts and names are without the NUL character and whose numbers are"
        " within the range of doubles."
    ),
    "properties": {
        "id": {
            "type": "string",
            "minLength": 1,
            "maxLength": bodies.MAX_ID,
            "description": (
                "Printable characters. A document that is sent under the id of another replaces it."
                " Left out: the service makes one, and the document carries it from then on."
            ),
        }
    },
    "additionalProperties": True,
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers of a route that are problem documents."""
    return shared.problems(_REASONS, *statuses)


def as_json(description: str, schema: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """A 200 whose body the route puts together by itself."""
    return {200: {"description": description, "content": {"application/json": {"schema": schema}}}}


def complete(app: FastAPI, path: str, max_documents: int) -> None:
    """Add the body of the POST to `path`, which the route reads by itself, and the schemas."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        document["paths"][path]["post"]["requestBody"] = _body(max_documents)
        schemas = shared.describe_problems(document)
        schemas["Document"] = _DOCUMENT
        for operations in document["paths"].values():
            for operation in operations.values():
                if "HTTPValidationError" in str(operation["responses"].get("422")):
                    del operation["responses"]["422"]
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _body(max_documents: int) -> dict[str, Any]:
    batch = {"type": "array", "items": DOCUMENT, "minItems": 1, "maxItems": max_documents}
    return {
        "required": True,
        "description": (
            "An object is one document, an array a batch of them, which are accepted all or none."
            " Of several with one id the last wins."
        ),
        "content": {"application/json": {"schema": {"oneOf": [DOCUMENT, batch]}}},
    }

"""The part of JSON Schema 2020-12 that pydantic makes of our models, and nothing else.

What compares two versions of a payload knows every keyword of it. A schema that says more is
refused, whatever it says: what nobody understands cannot be called compatible.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

WORDS: Final = frozenset({"title", "description", "examples", "deprecated"})
"""Keywords for people, which say nothing of what a payload may be."""
REF: Final = "#/$defs/"

_BESIDE: Final = WORDS | {"$schema", "$defs", "default"}
_OF_NUMBERS: Final = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_OF_TYPE: Final[Mapping[str, frozenset[str]]] = {
    "object": frozenset({"properties", "required"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "number": _OF_NUMBERS,
    "integer": _OF_NUMBERS,
    "boolean": frozenset(),
    "null": frozenset(),
}
_ALONE: Final[Mapping[str, frozenset[str]]] = {
    "$ref": frozenset(),
    "anyOf": frozenset(),
    "enum": frozenset({"type"}),  # which says no more than the values do
    "const": frozenset({"type"}),
}
"""What stands alone, with what may stand beside it."""


class NotUnderstoodError(Exception):
    """A schema says what is not known here; the text names field and keyword."""


def check_understood(schema: Schema) -> None:
    """Raise NotUnderstoodError if any part of `schema` is not known here."""
    names = schema.get("$defs", {})
    for field, part in _parts(schema, ""):
        _check(part, field or "the payload")
        if "$ref" not in part:
            continue
        target = names.get(part["$ref"].removeprefix(REF))
        if target is None or "$ref" in target:
            raise NotUnderstoodError(f"{field}: $ref {part['$ref']}")


def below(field: str, name: str) -> str:
    """The path of a field in an object."""
    return f"{field}.{name}" if field else name


def says_nothing(schema: Schema) -> bool:
    """Whether it takes any value."""
    return not schema.keys() - _BESIDE


def values(schema: Schema) -> list[Any] | None:
    """All values that a schema takes, if they are so few that they can be listed."""
    if "const" in schema:
        return [schema["const"]]
    if "enum" in schema:
        return list(schema["enum"])
    return {"null": [None], "boolean": [False, True]}.get(schema.get("type", ""))


def told(schema: Schema) -> str:
    """A schema in a few words."""
    if "const" in schema or "enum" in schema:
        return " or ".join(map(json.dumps, values(schema) or ()))
    if "anyOf" in schema:
        return " or ".join(map(told, schema["anyOf"]))
    kind = schema.get("type")
    if kind is None:
        return schema.get("$ref", "anything").removeprefix(REF)
    if kind == "null":
        return kind
    return f"an {kind}" if kind[0] in "aio" else f"a {kind}"


def meaning(schema: Schema) -> dict[str, Any]:
    """A schema without the words, in one order: equal for two that say the same of payloads."""
    said: dict[str, Any] = {name: it for name, it in schema.items() if name not in WORDS}
    for named in ("properties", "$defs"):
        if named in said:
            said[named] = {name: meaning(part) for name, part in said[named].items()}
    if "items" in said:
        said["items"] = meaning(said["items"])
    if "anyOf" in said:
        said["anyOf"] = [meaning(part) for part in said["anyOf"]]
    if "required" in said:
        said["required"] = sorted(said["required"])
    return said


def _parts(schema: Schema, field: str) -> Iterator[tuple[str, Schema]]:
    """A schema and all schemas in it, each with the path of its field."""
    yield field, schema
    for name, part in schema.get("properties", {}).items():
        yield from _parts(part, below(field, name))
    if "items" in schema:
        yield from _parts(schema["items"], f"{field}[]")
    for part in schema.get("anyOf", ()):
        yield from _parts(part, field)
    for name, part in schema.get("$defs", {}).items():
        yield from _parts(part, name)


def _check(schema: Any, field: str) -> None:
    if not isinstance(schema, Mapping):
        raise NotUnderstoodError(f"{field}: the schema {json.dumps(schema)}")
    said = schema.keys() - _BESIDE
    kind = schema.get("type")
    if kind is not None and (not isinstance(kind, str) or kind not in _OF_TYPE):
        raise NotUnderstoodError(f"{field}: type {json.dumps(kind)}")
    alone = next((word for word in _ALONE if word in said), None)
    if alone is not None:
        known = {alone} | _ALONE[alone]
    else:
        known = {"type"} | _OF_TYPE[kind] if kind is not None else frozenset[str]()
    if more := sorted(said - known):
        beside = f" beside {alone or kind}" if alone or kind else ""
        raise NotUnderstoodError(f"{field}: {', '.join(more)}{beside}")
    for value in values(schema) or ():
        if isinstance(value, list | dict):
            raise NotUnderstoodError(f"{field}: the value {json.dumps(value)}")

"""The JSON schema of a stack file, made from the settings, for editors and reviewers.

`python -m infra.model.schema` writes `infra/model/stack.schema.json`; the stack files point at it
in their first line, so an editor completes keys and marks mistakes before Pulumi ever runs.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from infra.model.settings import PlatformSettings

SCHEMA_FILE: Final = Path(__file__).with_name("stack.schema.json")
Schema = dict[str, Any]


@cache
def _settings_schema() -> Schema:
    return PlatformSettings.model_json_schema(by_alias=True)


def settings_keys() -> tuple[str, ...]:
    """The top-level keys of the `millrace` namespace."""
    return tuple(_settings_schema()["properties"])


def properties_at(location: tuple[int | str, ...]) -> tuple[str, ...]:
    """The keys known at a place, e.g. `("kafka", "resources")`; empty where any key may stand."""
    return tuple(_resolved(_at(location), _settings_schema()).get("properties", ()))


def example_at(location: tuple[int | str, ...]) -> str | None:
    """How a value at a place may look, where its setting says so."""
    shapes: list[Schema] = (node := _at(location)).get("anyOf") or [node]
    return next((str(shape["examples"][0]) for shape in shapes if "examples" in shape), None)


def _at(location: tuple[int | str, ...]) -> Schema:
    root = _settings_schema()
    node: Schema = root
    for part in location:
        node = _step(node, str(part), root)
    return node


def _resolved(node: Schema, root: Schema) -> Schema:
    # A value of two shapes, like a number or a range, or a table that may be left out: only a table
    # has keys.
    shapes: list[Schema] = node.get("oneOf") or node.get("anyOf") or [node]
    reference = next((shape["$ref"] for shape in shapes if "$ref" in shape), None)
    if reference is None:
        return node
    return root["$defs"][str(reference).rpartition("/")[2]]


def _step(node: Schema, part: str, root: Schema) -> Schema:
    here = _resolved(node, root)
    # A table whose keys are names has one pattern, which all of them match.
    named = next(iter(here.get("patternProperties", {}).values()), False)
    inner: Schema | bool = (
        here.get("properties", {}).get(part)
        or here.get("items")
        or here.get("additionalProperties")
        or named
    )
    return inner if isinstance(inner, dict) else {}


def stack_file_schema() -> Schema:
    """JSON schema (draft 2020-12) of `Pulumi.<stack>.yaml`."""
    settings = _settings_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Millrace stack file",
        "type": "object",
        "required": ["config"],
        "properties": {
            "encryptionsalt": {"type": "string", "description": "Written by Pulumi."},
            "config": {
                "type": "object",
                "required": [f"millrace:{key}" for key in settings["required"]],
                "properties": {f"millrace:{k}": v for k, v in settings["properties"].items()},
                # Other namespaces (kubernetes:…, pulumi:…) belong to others. What has none is the
                # project's to Pulumi; an editor asks for it to be spelled out, and so sees it.
                "patternProperties": {"^(?!millrace:)[^:]+:": {}},
                "additionalProperties": False,
            },
        },
        "$defs": settings["$defs"],
    }


def rendered() -> str:
    return json.dumps(stack_file_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(rendered(), encoding="utf-8")

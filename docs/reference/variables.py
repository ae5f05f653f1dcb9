"""Which variables a stack file may set, for the program, which imports no service's code."""

import json
from pathlib import Path
from typing import Any, Final

from pydantic_settings import BaseSettings

from docs.reference.services import programs

FILE: Final = Path(__file__).resolve().parents[2] / "infra" / "model" / "variables.json"
_KEPT: Final = {
    *("type", "enum", "anyOf", "pattern", "minLength", "maxLength"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}


def current() -> str:
    """What the file should hold: package to variable to what it accepts, as JSON schema."""
    document = {
        package.rpartition(".")[2]: dict(sorted(of for model in read for of in _of(model)))
        for package, read in programs().items()
    }
    return json.dumps({name: of for name, of in document.items() if of}, indent=2) + "\n"


def _of(model: type[BaseSettings]) -> list[tuple[str, dict[str, Any]]]:
    """All but what has no default, and whatever says how to reach a server: those follow from the
    records."""
    if "password_file" in model.model_fields:
        return []
    prefix = str(model.model_config.get("env_prefix") or "")
    schemas = model.model_json_schema(by_alias=False)["properties"]
    return [
        ((prefix + name).upper(), {k: v for k, v in schemas[name].items() if k in _KEPT})
        for name, field in model.model_fields.items()
        if not field.is_required()
    ]

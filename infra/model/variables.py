"""Variables that a stack file may set for a service: those it reads and nobody else sets.

What each accepts is in variables.json, which `make docs` writes from the services' settings: the
program imports no service's code.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, WithJsonSchema

from components.kit.names import BUILDERS_VARIABLES, variable
from infra.model.services import Service


def _scalar(value: Any) -> bool | float | str:
    """Text, a number, `true` or `false`."""
    if not isinstance(value, bool | int | float | str):
        raise ValueError("is no text, number, true or false, and a variable holds nothing else")
    return value


Value = Annotated[
    Any, AfterValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})
]
CONSUMERS: Final = (
    *("KAFKA_GROUP_ID", "KAFKA_TOPICS", "KAFKA_DEAD_LETTER_TOPIC", "KAFKA_RETENTION_HOURS"),
)
"""What who consumes is told by record and stack."""
TOKENS: Final = ("AUTH_MODE", "AUTH_ISSUER", "AUTH_JWKS_URL", "AUTH_AUDIENCE")
"""What who takes tokens is told by the stack."""
TRACES: Final = (
    *("TRACING_ENDPOINT", "TRACING_CA_FILE", "TRACING_SAMPLING"),
    *("TRACING_SERVICE_VERSION", "TRACING_NAMESPACE", "TRACING_POD"),
)
"""What who makes spans is told by the stack."""
_SET: Final = (*BUILDERS_VARIABLES, *CONSUMERS, *TOKENS, *TRACES, "LOG_LEVEL", "HTTP_HOST")
_TYPES: Final = {"boolean": bool, "integer": int, "number": float, "string": str}
_BOUNDS: Final = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "pattern": "pattern",
    "minLength": "min_length",
    "maxLength": "max_length",
}


def takes_tokens(service: Service) -> bool:
    """Whether it asks its clients for tokens: it reads how."""
    return "AUTH_MODE" in _read().get(service.package, {})


def makes_spans(service: Service) -> bool:
    """Whether it can be told where its spans go."""
    return "TRACING_ENDPOINT" in _read().get(service.package, {})


def settable(service: Service) -> tuple[str, ...]:
    """The variables of a service that a stack file may set."""
    ports = (variable(port.name, "PORT") for port in service.ports)
    memory = (use.memory_variable for use in service.redis)
    own = {*_SET, *ports, *memory, *service.pod_name_env}
    return tuple(name for name in _read().get(service.package, {}) if name not in own)


def settable_of_any(services: Iterable[Service]) -> tuple[str, ...]:
    """Those that some service may be given."""
    return tuple(dict.fromkeys(name for service in services for name in settable(service)))


def reasons(service: Service, given: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    """Variable and reason of every value that the service's process would refuse."""
    for name in settable(service):
        if name in given:
            try:
                # As the process gets it.
                _adapter(service.package, name).validate_python(text(given[name]))
            except ValidationError as error:
                yield name, f"{error.errors()[0]['msg']}, but it is {text(given[name])!r}"


def text(value: Value) -> str:
    """A value as a variable holds it."""
    return json.dumps(value) if isinstance(value, bool) else str(value)


@cache
def _read() -> dict[str, dict[str, dict[str, Any]]]:
    return json.loads(Path(__file__).with_name("variables.json").read_text(encoding="utf-8"))


@cache
def _adapter(package: str, name: str) -> TypeAdapter[Any]:
    schema = _read()[package][name]
    # Optional: a variable is left out, never null.
    schema = next((one for one in schema.get("anyOf", ()) if one["type"] != "null"), schema)
    literal: Any = Literal
    annotated: Any = Annotated
    if "enum" in schema:
        return TypeAdapter[Any](literal[tuple(schema["enum"])])
    bounds = {bound: schema[key] for key, bound in _BOUNDS.items() if key in schema}
    if schema["type"] == "number":
        bounds["allow_inf_nan"] = False  # a process may take it, and then waits for ever
    return TypeAdapter[Any](annotated[_TYPES[schema["type"]], Field(**bounds)])

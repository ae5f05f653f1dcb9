"""From a stack file to settings, or to one error that names everything wrong with it.

Pulumi checks that the declared top-level keys are there and of the declared type. It ignores keys
it does not know and never looks inside an object; both are done here, before any resource is
registered, so that `pulumi preview` fails and nothing is half made.
"""

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

import pulumi
import yaml
from pulumi.runtime.config import CONFIG
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from infra.model.records import RECORDS, Records
from infra.model.schema import example_at, properties_at, settings_keys
from infra.model.settings import NUMBER, RANGE, PlatformSettings

NAMESPACE = "millrace"
_SHOWN = 60


class _StackFile(BaseModel):
    config: dict[str, Any]


_STACK_FILE: Final = TypeAdapter(_StackFile)


class ConfigError(pulumi.RunError):
    """The stack file is wrong. A RunError, so that Pulumi prints the text and no traceback."""


def load(records: Records = RECORDS) -> PlatformSettings:
    """The settings of the stack that is being previewed or updated, by what the records say.

    Raises:
        ConfigError: every problem of the stack file, one line each.
    """
    prefix = f"{NAMESPACE}:"
    # pulumi.Config reads keys one knows; a mistyped key is only seen by listing them all.
    given = {
        k.removeprefix(prefix): str(v) for k, v in CONFIG.get().items() if k.startswith(prefix)
    }
    return parse(given, stack_file=f"Pulumi.{pulumi.get_stack()}.yaml", records=records)


def load_file(text: str, stack_file: str, records: Records = RECORDS) -> PlatformSettings:
    """The settings of a stack file that is not being run (tests, `infra.stack.diff`, auditors).

    Args:
        text: the YAML document.
        stack_file: its name, for the error.
        records: the population it is about.

    Raises:
        ConfigError: as `load`, and when the document is not a stack file.
    """
    rows = _rows(text, stack_file)
    prefix = f"{NAMESPACE}:"
    given = {
        # Pulumi hands a scalar over as it is written and everything else as JSON.
        k.removeprefix(prefix): v if isinstance(v, str) else json.dumps(v)
        for k, v in rows.items()
        # To Pulumi a key without a namespace is the project's.
        if k.startswith(prefix) or ":" not in k
    }
    return parse(given, stack_file, records)


def _rows(text: str, stack_file: str) -> dict[str, Any]:
    """Every key under `config:`, of whatever namespace."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        # PyYAML's text ends with a drawing of the place, over several lines.
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ConfigError(f"{stack_file}: is not YAML{place}; correct it there") from None
    try:
        return _STACK_FILE.validate_python(document).config
    except ValidationError:
        raise ConfigError(
            f"{stack_file}: {'is empty' if document is None else 'has no `config:` table'}; "
            f"write the settings under `config:`, each as `{NAMESPACE}:<key>` (every key is "
            "described in docs/configuration.md)"
        ) from None


def parse(
    given: Mapping[str, str], stack_file: str, records: Records = RECORDS
) -> PlatformSettings:
    """Validate the namespace's keys.

    Args:
        given: key without namespace to value, as Pulumi hands it to a program: JSON.
        stack_file: where the keys stand, for the error.
        records: the population they are about.

    Raises:
        ConfigError: one line per problem: key, reason, way out.
    """
    known = settings_keys()
    problems = [_unknown_key(key, known) for key in given if key not in known]
    document: dict[str, object] = {}
    for key, value in given.items():
        if key not in known:
            continue
        try:
            document[key] = json.loads(value)
        except json.JSONDecodeError:
            document[key] = value  # a bare string: the model says what it should have been
    try:
        # JSON mode: strict about types, but a list may still become a tuple.
        settings = PlatformSettings.model_validate_json(
            json.dumps(document), context={"records": records}
        )
    except ValidationError as error:
        problems += [_describe(detail) for detail in error.errors(include_url=False)]
    else:
        if not problems:
            return settings
    lines = "\n".join(f"  - {problem}" for problem in problems)
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    raise ConfigError(
        f"{stack_file} has {count}; nothing was touched:\n{lines}\n"
        "Every key is described in docs/configuration.md, every variable in docs/services.md."
    )


def _describe(detail: ErrorDetails) -> str:
    location = tuple(part for part in detail["loc"] if part not in (NUMBER, RANGE))
    key = _dotted(location)
    kind, shown = detail["type"], _shown(detail["input"])
    if kind == "extra_forbidden":
        return _unknown_nested(location)
    if kind == "missing":
        return f"{key}: is missing; add it to the stack file"
    if kind == "value_error":
        return f"{key}: {detail['msg'].removeprefix('Value error, ')}"
    if kind == "string_type" and isinstance(detail["input"], int | float):
        # YAML reads 1 and yes as no text, though a stack file means them so: `cpu: 1`.
        return f"{key}: {detail['msg']}, but it is {shown}; write it in quotes"
    example = example_at(location) if kind == "string_pattern_mismatch" else None
    way_out = f"write it like {_shown(example)}" if example else "change the value"
    return f"{key}: {detail['msg']}, but it is {shown}; {way_out}"


def _unknown_key(key: str, known: Iterable[str]) -> str:
    return _no_such(f"{NAMESPACE}:{key}", key, tuple(known), f"{NAMESPACE}:")


def _unknown_nested(location: tuple[int | str, ...]) -> str:
    known = properties_at(location[:-1])
    prefix = _dotted(location[:-1]) + "."
    return _no_such(_dotted(location), str(location[-1]), known, prefix)


def _no_such(full: str, key: str, known: tuple[str, ...], prefix: str) -> str:
    close = get_close_matches(key, known, n=1)
    if close:
        return f"{full}: there is no such key; did you mean {prefix}{close[0]}?"
    return f"{full}: there is no such key; remove it, or use one of {', '.join(known)}"


def _dotted(location: tuple[int | str, ...]) -> str:
    # A whole-model validator of the top has no location of its own.
    return f"{NAMESPACE}:" + (".".join(str(part) for part in location) if location else "*")


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"

"""A model's field in words: what it accepts, and its default."""

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import NoDecode

_PLAIN = {
    bool: "`true` or `false`",
    float: "Number",
    int: "Integer",
    str: "Text",
    Path: "Path of a file that exists",
}
_CHOICES = re.compile(r"^\^\((\w+(?:\|\w+)+)\)\$$")


def accepts(field: FieldInfo) -> str:
    """Type and range, like `Integer, 1 to 9`; a validator of the type speaks for itself."""
    said = _type(field.annotation, [*field.metadata, field])
    extra = cast("Mapping[str, Any]", field.json_schema_extra or {})
    names = extra.get("propertyNames", {}).get("enum")
    return f"{said}; keys: {_listed(names, 'and')}" if names else said


def default(value: Any) -> str:
    """As YAML or a variable would spell it."""
    match value:
        case None | ():
            return "none"
        case str():
            text = value
        case tuple():
            text = ",".join(cast("tuple[str, ...]", value))
        case BaseModel():
            rows = value.model_dump(by_alias=True)
            text = yaml.safe_dump(rows, default_flow_style=True, sort_keys=False, width=999)
        case _:
            text = json.dumps(value)
    return f"`{text.strip()}`"


def refusals(model: type[BaseModel]) -> Iterator[str]:
    """What the model's validators insist on: their docstrings."""
    made = model.__pydantic_decorators__
    for name in (*made.field_validators, *made.model_validators):
        yield first_paragraph(getattr(model, name)) or f"(`{name}` has no docstring)"


def first_paragraph(thing: object) -> str:
    """Of its docstring, on one line."""
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


def model_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model whose fields nest here, always or in one of the shapes the value may have."""
    shapes: list[Any] = [field.annotation]
    if get_origin(field.annotation) in (Union, UnionType):
        shapes = [get_args(s)[0] if get_origin(s) is Annotated else s for s in get_args(shapes[0])]
    return next((s for s in shapes if isinstance(s, type) and issubclass(s, BaseModel)), None)


def _type(annotation: Any, metadata: Iterable[Any]) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inner[0], [*inner[1:], *metadata])
    if origin in (Union, UnionType):
        return _type(next(one for one in inner if one is not NoneType), metadata)
    if origin is tuple and NoDecode in metadata:
        return "Names, separated by commas"
    if origin is not None:
        return _of_several(origin, inner)
    marks = list(_flat(metadata))
    spoken = next((mark for mark in marks if isinstance(mark, AfterValidator)), None)
    if spoken is not None:
        return first_paragraph(spoken.func).removesuffix(".")
    choices = _CHOICES.match(_found(marks, "pattern") or "")
    plain = _PLAIN.get(annotation, "Table") + _range(marks)
    return _listed(choices[1].split("|"), "or") if choices else plain


def _of_several(origin: Any, inner: tuple[Any, ...]) -> str:
    if origin is Literal:
        return _listed(inner, "or")
    if origin in (dict, Mapping):
        return f"Table; values: {_lower(_type(inner[1], ()))}"
    return f"List; each: {_lower(_type(inner[0], ()))}"


def _flat(metadata: Iterable[Any]) -> Iterator[Any]:
    for mark in metadata:
        if isinstance(mark, FieldInfo):
            yield mark
            yield from _flat(mark.metadata)
        else:
            yield mark


def _range(marks: list[Any]) -> str:
    found = partial(_found, marks)
    low, above, high, pattern = found("ge"), found("gt"), found("le"), found("pattern")
    if pattern:
        examples = found("examples")
        return f" that matches `{pattern}`" + (f", like `{examples[0]}`" if examples else "")
    if found("min_length"):
        most = found("max_length")
        return f", at most {most} characters and not empty" if most else ", not empty"
    if low is not None and high is not None:
        return f", {low:g} to {high:g}"
    bounds = {"at least": low, "above": above, "at most": high}
    said = [f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None]
    return f", {' and '.join(said)}" if said else ""


def _found(marks: list[Any], name: str) -> Any:
    return next((v for m in marks if (v := getattr(m, name, None)) is not None), None)


def _listed(values: Iterable[Any], word: str) -> str:
    *most, last = [f"`{value}`" for value in values]
    return f"{', '.join(most)} {word} {last}" if most else last


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]

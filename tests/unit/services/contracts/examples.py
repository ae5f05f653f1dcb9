"""Payloads made at random of a schema, as a producer may write them, and schemas made at random."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

Schema = dict[str, Any]

# How long an example takes says what else the machine does.
unhurried = settings(
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
_NAMES = ("a", "b", "c")


def examples(schema: Mapping[str, Any]) -> st.SearchStrategy:
    """What a schema lets be written: fields that it declares, and no others."""
    return _made(schema, schema.get("$defs", {}))


def _made(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> st.SearchStrategy:
    if "$ref" in schema:
        return _made(defs[schema["$ref"].removeprefix("#/$defs/")], defs)
    if "anyOf" in schema:
        return st.one_of([_made(part, defs) for part in schema["anyOf"]])
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    if schema.get("type") == "object":
        return _objects(schema, defs)
    if schema.get("type") == "array":
        least, most = schema.get("minItems", 0), schema.get("maxItems", 3)
        return st.lists(_made(schema.get("items", {}), defs), min_size=least, max_size=most)
    return _plain(schema)


def _objects(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> st.SearchStrategy[Schema]:
    fields = {name: _made(part, defs) for name, part in schema.get("properties", {}).items()}
    required = {name: fields.pop(name) for name in schema.get("required", ())}
    return st.fixed_dictionaries(required, optional=fields)


def _plain(schema: Mapping[str, Any]) -> st.SearchStrategy:
    bounds = schema.get("minimum"), schema.get("maximum")
    match schema.get("type"):
        case "string":
            return _texts(schema)
        case "integer":
            return st.integers(*bounds)
        case "number":
            return st.floats(*bounds, allow_nan=False, allow_infinity=False) | st.integers(*bounds)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case _:
            return st.none() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({})


def _texts(schema: Mapping[str, Any]) -> st.SearchStrategy[str]:
    if schema.get("format") == "date-time":
        # Of any offset, and far enough from the ends of what may be stored that none leads there.
        zones = st.integers(-23 * 60, 23 * 60).map(lambda it: timezone(timedelta(minutes=it)))
        return st.datetimes(
            datetime(1970, 1, 2), datetime(9998, 12, 30), timezones=zones | st.just(UTC)
        ).map(lambda it: it.isoformat(timespec="microseconds"))
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if "pattern" in schema:
        found = st.from_regex(schema["pattern"], fullmatch=True)
        return found.filter(lambda it: least <= len(it) <= (most or len(it)))
    return st.text(min_size=least, max_size=most)


def _bounded(kind: str) -> st.SearchStrategy[Schema]:
    limits = {"minimum": st.integers(-2, 0), "maximum": st.integers(1, 3)}
    return st.fixed_dictionaries({"type": st.just(kind)}, optional=limits)


_SCALARS = st.sampled_from(["x", "yy", "", 0, 1, 2, -2, 1.5, True, False, None])
_LEAVES = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("string")},
        optional={
            "minLength": st.integers(0, 1),
            "maxLength": st.integers(1, 3),
            "pattern": st.just("^x*$"),
        },
    ),
    _bounded("integer"),
    _bounded("number"),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {}, {"$ref": "#/$defs/D"}]),
    _SCALARS.map(lambda it: {"const": it}),
    st.lists(_SCALARS, min_size=1, max_size=3).map(lambda it: {"enum": it}),
)


@st.composite
def objects(
    draw: st.DrawFn, parts: st.SearchStrategy[Schema], like: Schema | None = None
) -> Schema:
    """An object of some fields; most of them those of another, if one is given."""
    before = (like or {}).get("properties", {})
    fields: Schema = {}
    for name in _NAMES:
        if name in before and draw(st.integers(0, 3)):
            fields[name] = before[name]
        elif draw(st.booleans()):
            fields[name] = draw(parts)
    required = [name for name in fields if draw(st.booleans())]
    return {"type": "object", "properties": fields, "required": required}


_ITEMS = {"minItems": st.integers(0, 1), "maxItems": st.integers(1, 3)}
_PARTS = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"type": st.just("array")}, optional={"items": inner, **_ITEMS}),
        st.lists(inner, min_size=1, max_size=3).map(lambda it: {"anyOf": it}),
        objects(inner),
    ),
    max_leaves=4,
)


@st.composite
def documents(draw: st.DrawFn, like: Schema | None = None) -> Schema:
    """A payload's schema; like another, if one is given."""
    definition = draw(objects(_LEAVES.filter(lambda it: "$ref" not in it)))
    if like is not None and draw(st.booleans()):
        definition = like["$defs"]["D"]
    return {**draw(objects(_PARTS, like)), "$defs": {"D": definition}}

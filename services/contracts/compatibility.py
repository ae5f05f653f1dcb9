"""Whether who knows one version of a payload can read what another version lets be written.

The question of a schema registry, put to JSON Schemas: "backward" (who knows the new version reads
what the old one wrote) and "forward" (who knows the old one reads what the new one writes). A
payload is open to its readers, who ignore what they do not know, and closed to its writers, who
write nothing that their version does not declare. So a field with a default may come and go, and
any other change of what may be written is a break in one direction or the other.

Pure functions. Where an answer would take more than a look at each keyword (one pattern against
another, a union against one of other parts) it is "cannot be read": too strict at times, and never
too lenient. Words (titles, descriptions) and defaults break nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import inf
from typing import Any, NamedTuple

from services.contracts.dialect import (
    REF,
    Schema,
    below,
    check_understood,
    says_nothing,
    told,
    values,
)


class Unreadable(NamedTuple):
    """A field that a reader may stumble over. missing: over its absence, not over its value."""

    field: str
    reason: str
    missing: bool = False


class Break(NamedTuple):
    """A field that is not compatible. backward: to who knows the new version, of the old one's
    messages; otherwise the other way round. remedy: what to do instead."""

    field: str
    reason: str
    backward: bool
    remedy: str


def breaks(old: Schema, new: Schema) -> list[Break]:
    """What stands against `new` beside `old`, in both directions; empty: they are compatible.

    Raises NotUnderstoodError.
    """
    return [
        Break(it.field, it.reason, backward, _remedy(it, backward))
        for backward, (writer, reader) in ((True, (old, new)), (False, (new, old)))
        for it in unreadable(writer, reader)
    ]


def unreadable(writer: Schema, reader: Schema) -> list[Unreadable]:
    """What `writer` lets be written and who goes by `reader` cannot read; empty: all of it can be.

    Raises NotUnderstoodError.
    """
    for schema in (writer, reader):
        check_understood(schema)
    return list(dict.fromkeys(_Reading(writer, reader).compare(writer, reader, "")))


def _remedy(it: Unreadable, backward: bool) -> str:
    if not it.missing:
        return (
            "leave the field as it was, and say what is new in a field of another name with a"
            " default, or in an event of another type"
        )
    if backward:
        return "give it a default, so that it is not required"
    return "keep it, and keep it required: a field that was without a default once stays so"


class _Reading:
    """One comparison. A pair that is being compared already, in a model that holds itself, is not
    begun again: it is readable if all the rest is, and what is not is found where it began."""

    def __init__(self, writer: Schema, reader: Schema) -> None:
        self._defs = writer.get("$defs", {}), reader.get("$defs", {})
        self._begun: set[tuple[int, int]] = set()

    def compare(self, writer: Schema, reader: Schema, field: str) -> Iterator[Unreadable]:
        """What of one field cannot be read."""
        written, known = (
            defs[schema["$ref"].removeprefix(REF)] if "$ref" in schema else schema
            for defs, schema in zip(self._defs, (writer, reader), strict=True)
        )
        pair = id(written), id(known)
        if pair in self._begun:
            return
        self._begun.add(pair)
        yield from self._resolved(written, known, field)
        self._begun.remove(pair)

    def _resolved(self, writer: Schema, reader: Schema, field: str) -> Iterator[Unreadable]:
        if "anyOf" in writer:
            for part in writer["anyOf"]:
                yield from self.compare(part, reader, field)
        elif "anyOf" in reader:
            found = values(writer) or ()
            # Each value for itself: they need not all fit the same part.
            for part in [{"const": value} for value in found] if len(found) > 1 else [writer]:
                yield from self._any_of(part, reader, field)
        elif not says_nothing(reader):
            yield from self._one(writer, reader, field)

    def _any_of(self, writer: Schema, reader: Schema, field: str) -> Iterator[Unreadable]:
        found = [list(self.compare(writer, part, field)) for part in reader["anyOf"]]
        if not all(found):
            return
        # The one part that is meant says more of what is wrong than that none fits.
        same = [
            each
            for each, part in zip(found, reader["anyOf"], strict=True)
            if "type" in writer and part.get("type") == writer["type"]
        ]
        yield from same[0] if len(same) == 1 else [_differs(writer, reader, field)]

    def _one(self, writer: Schema, reader: Schema, field: str) -> Iterator[Unreadable]:
        written, known = values(writer), values(reader)
        if written is None and known is None:
            yield from self._typed(writer, reader, field)
        elif written is not None and known is None:
            for value in written:
                yield from self._typed(_as_schema(value), reader, field)
        elif written is None or _texts(written) - _texts(known or []):
            yield _differs(writer, reader, field)

    def _typed(self, writer: Schema, reader: Schema, field: str) -> Iterator[Unreadable]:
        kinds = writer.get("type"), reader["type"]
        if kinds[0] != kinds[1] and kinds != ("integer", "number"):
            yield _differs(writer, reader, field)
            return
        yield from _limits(writer, reader, field)
        if kinds[1] == "array":
            yield from self.compare(writer.get("items", {}), reader.get("items", {}), f"{field}[]")
        elif kinds[1] == "object":
            yield from self._fields(writer, reader, field)

    def _fields(self, writer: Schema, reader: Schema, field: str) -> Iterator[Unreadable]:
        written, known = writer.get("properties", {}), reader.get("properties", {})
        for name in reader.get("required", ()):
            if name not in writer.get("required", ()):
                there = "may be left out" if name in written else "is not there"
                yield Unreadable(below(field, name), f"{there}, where it is required", missing=True)
        for name in known:
            if name in written:
                yield from self.compare(written[name], known[name], below(field, name))


def _limits(writer: Schema, reader: Schema, field: str) -> Iterator[Unreadable]:
    for most in ("maxLength", "maxItems"):
        if writer.get(most, inf) > reader.get(most, inf):
            yield _limit(most, writer, reader, field)
    for least in ("minLength", "minItems"):
        if writer.get(least, 0) < reader.get(least, 0):
            yield _limit(least, writer, reader, field)
    for end, sign in (("minimum", 1), ("maximum", -1)):
        written, known = _bound(writer, end, sign), _bound(reader, end, sign)
        if written < known:
            keyword = _exclusive(end) if known[1] else end
            yield _limit(keyword, writer, reader, field)
    for same in ("pattern", "format"):
        if same in reader and writer.get(same) != reader[same]:
            yield _limit(same, writer, reader, field)


def _bound(schema: Schema, end: str, sign: int) -> tuple[float, bool]:
    """How strict a schema is at one end, and whether that excludes the bound itself; the stricter
    is the greater."""
    bounds = [(-inf, False)]
    for keyword, excluded in ((end, False), (_exclusive(end), True)):
        if keyword in schema:
            bounds.append((sign * schema[keyword], excluded))
    return max(bounds)


def _exclusive(end: str) -> str:
    return f"exclusive{end.capitalize()}"


def _limit(keyword: str, writer: Schema, reader: Schema, field: str) -> Unreadable:
    written = f"is {json.dumps(writer[keyword])}" if keyword in writer else "is not said"
    return Unreadable(field, f"{keyword} {written}, where {json.dumps(reader[keyword])} is read")


def _differs(writer: Schema, reader: Schema, field: str) -> Unreadable:
    return Unreadable(field, f"may be {told(writer)}, where {told(reader)} is read")


def _as_schema(value: Any) -> Schema:
    """What takes a value and others of its length or size: as much as a limit can tell."""
    if isinstance(value, str):
        return {"type": "string", "minLength": len(value), "maxLength": len(value)}
    if isinstance(value, bool) or value is None:
        return {"type": "null" if value is None else "boolean"}
    kind = "integer" if isinstance(value, int) else "number"
    return {"type": kind, "minimum": value, "maximum": value}


def _texts(them: list[Any]) -> set[str]:
    """As JSON, where true is not 1."""
    return set(map(json.dumps, them))

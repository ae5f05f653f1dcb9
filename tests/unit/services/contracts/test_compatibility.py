"""Which change of a payload is a break, and for whom."""

from __future__ import annotations

from typing import Any

import pytest

from services.contracts.compatibility import breaks, unreadable

TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}
NULL: dict[str, Any] = {"type": "null"}


def obj(required: str = "", **fields: Any) -> dict[str, Any]:
    """An object of fields, of which those are required that `required` names."""
    return {"type": "object", "properties": fields, "required": required.split()}


def enum(*values: Any) -> dict[str, Any]:
    return {"enum": list(values)}


def either(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": list(parts)}


def reasons(writer: dict[str, Any], reader: dict[str, Any]) -> list[str]:
    return [f"{it.field}: {it.reason}" for it in unreadable(writer, reader)]


SAME = [
    ("words", {**TEXT, "title": "a", "description": "b"}, {**TEXT, "examples": ["c"]}),
    ("a default", {**TEXT, "default": "a"}, {**TEXT, "default": "b"}),
    ("a minimum of nothing", {**TEXT, "minLength": 0}, TEXT),
    ("one value, as const or enum", {"const": "a"}, {**enum("a"), **TEXT}),
    ("the order of values", enum("a", "b"), enum("b", "a")),
    ("the order of parts", either(TEXT, NULL), either(NULL, TEXT)),
    ("both values of a boolean", {"type": "boolean"}, enum(True, False)),
    ("bounds beside stricter ones", {**NUMBER, "minimum": 1, "exclusiveMinimum": 1},
     {**NUMBER, "exclusiveMinimum": 1}),
    ("an optional field", obj(a=TEXT), obj()),
    ("an optional field that is an object", obj(a=obj("b", b=TEXT)), obj()),
    ("an optional field, deep down", obj("a", a=obj(b=TEXT)), obj("a", a=obj())),
    ("an optional field of items", {"type": "array", "items": obj(b=TEXT)},
     {"type": "array", "items": obj()}),
]  # fmt: skip
"""What, and two schemas between which it may change."""


@pytest.mark.parametrize(("before", "after"), [it[1:] for it in SAME], ids=[it[0] for it in SAME])
def test_what_may_change(before: dict[str, Any], after: dict[str, Any]) -> None:
    for old, new in ((before, after), (after, before)):
        assert breaks(obj("f", f=old), obj("f", f=new)) == []


WIDER = [
    ("a required field that is optional", obj("a", a=TEXT), obj(a=TEXT),
     "f.a: may be left out, where it is required"),
    ("a required field that is gone", obj("a", a=TEXT), obj(),
     "f.a: is not there, where it is required"),
    ("a required field, deep down", obj("a", a=obj("b", b=TEXT)), obj("a", a=obj()),
     "f.a.b: is not there, where it is required"),
    ("a required field of items", {"type": "array", "items": obj("b", b=TEXT)},
     {"type": "array", "items": obj(b=TEXT)}, "f[].b: may be left out, where it is required"),
    ("a number for a whole one", WHOLE, NUMBER,
     "f: may be a number, where an integer is read"),
    ("null beside text", TEXT, either(TEXT, NULL), "f: may be null, where a string is read"),
    ("null beside text and whole numbers", either(TEXT, WHOLE), either(TEXT, WHOLE, NULL),
     "f: may be null, where a string or an integer is read"),
    ("null beside an object", obj("a", a=TEXT), either(obj("a", a=TEXT), NULL),
     "f: may be null, where an object is read"),
    ("what one part of a union may be", either({**TEXT, "maxLength": 1}, NULL),
     either({**TEXT, "maxLength": 2}, NULL), "f: maxLength is 2, where 1 is read"),
    ("one value more", enum("a", "b"), enum("a", "b", "c"),
     'f: may be "a" or "b" or "c", where "a" or "b" is read'),
    ("a second value for a constant", {"const": "a"}, enum("a", "b"),
     'f: may be "a" or "b", where "a" is read'),
    ("any text for listed values", enum("a", "b"), TEXT,
     'f: may be a string, where "a" or "b" is read'),
    ("text of a length for listed values", enum("a", "bc"),
     {**TEXT, "minLength": 1, "maxLength": 2}, 'f: may be a string, where "a" or "bc" is read'),
    ("a union for listed values of several kinds", enum("a", 1), either(TEXT, {"const": 1}),
     'f: may be a string, where "a" or 1 is read'),
    ("numbers of a range for listed ones", enum(1, 3), {**WHOLE, "minimum": 1, "maximum": 3},
     "f: may be an integer, where 1 or 3 is read"),
    ("any number for listed ones", enum(1, 2.5), NUMBER,
     "f: may be a number, where 1 or 2.5 is read"),
    ("anything for text", TEXT, {}, "f: may be anything, where a string is read"),
    ("anything for a union", either(TEXT, NULL), {},
     "f: may be anything, where a string or null is read"),
    ("anything for values", enum(1), {}, "f: may be anything, where 1 is read"),
    ("longer text", {**TEXT, "maxLength": 5}, {**TEXT, "maxLength": 6},
     "f: maxLength is 6, where 5 is read"),
    ("text of any length", {**TEXT, "maxLength": 5}, TEXT,
     "f: maxLength is not said, where 5 is read"),
    ("shorter text", {**TEXT, "minLength": 2}, {**TEXT, "minLength": 1},
     "f: minLength is 1, where 2 is read"),
    ("empty text", {**TEXT, "minLength": 1}, TEXT, "f: minLength is not said, where 1 is read"),
    ("text of any pattern", {**TEXT, "pattern": "^a"}, TEXT,
     'f: pattern is not said, where "^a" is read'),
    ("text of any format", {**TEXT, "format": "date-time"}, TEXT,
     'f: format is not said, where "date-time" is read'),
    ("a lower number", {**WHOLE, "minimum": 0}, {**WHOLE, "minimum": -1},
     "f: minimum is -1, where 0 is read"),
    ("any low number", {**WHOLE, "minimum": 0}, WHOLE,
     "f: minimum is not said, where 0 is read"),
    ("a higher number", {**NUMBER, "maximum": 1}, {**NUMBER, "maximum": 1.5},
     "f: maximum is 1.5, where 1 is read"),
    ("any high number", {**NUMBER, "maximum": 1}, NUMBER,
     "f: maximum is not said, where 1 is read"),
    ("a lower bound itself", {**NUMBER, "exclusiveMinimum": 0}, {**NUMBER, "minimum": 0},
     "f: exclusiveMinimum is not said, where 0 is read"),
    ("an upper bound itself", {**NUMBER, "exclusiveMaximum": 9}, {**NUMBER, "maximum": 9},
     "f: exclusiveMaximum is not said, where 9 is read"),
    ("a higher upper bound that is none", {**NUMBER, "exclusiveMaximum": 9},
     {**NUMBER, "exclusiveMaximum": 10}, "f: exclusiveMaximum is 10, where 9 is read"),
    ("more items", {"type": "array", "maxItems": 1}, {"type": "array", "maxItems": 2},
     "f: maxItems is 2, where 1 is read"),
    ("no items", {"type": "array", "minItems": 1}, {"type": "array"},
     "f: minItems is not said, where 1 is read"),
    ("items of any kind", {"type": "array", "items": TEXT}, {"type": "array"},
     "f[]: may be anything, where a string is read"),
    ("wider items of items", {"type": "array", "items": {"type": "array", "items": WHOLE}},
     {"type": "array", "items": {"type": "array", "items": NUMBER}},
     "f[][]: may be a number, where an integer is read"),
]  # fmt: skip
"""What, a schema, one that takes more, and why who knows the first stumbles over the second."""


@pytest.mark.parametrize(
    ("narrow", "wide", "reason"), [it[1:] for it in WIDER], ids=[it[0] for it in WIDER]
)
def test_who_takes_more_reads_the_less_and_not_the_other_way_round(
    narrow: dict[str, Any], wide: dict[str, Any], reason: str
) -> None:
    less, more = obj("f", f=narrow), obj("f", f=wide)
    assert reasons(writer=less, reader=more) == []
    assert reasons(writer=more, reader=less) == [reason]
    [widened] = breaks(old=less, new=more)
    [narrowed] = breaks(old=more, new=less)
    assert (widened.backward, narrowed.backward) == (False, True)
    assert f"{widened.field}: {widened.reason}" == reason


OTHER = [
    ("the kind", TEXT, WHOLE),
    ("the kind, to a boolean", TEXT, {"type": "boolean"}),
    ("the kind, to an object", TEXT, obj()),
    ("the kind, from a boolean, which is no number here", {"type": "boolean"}, WHOLE),
    ("the kind of items", {"type": "array", "items": TEXT}, {"type": "array", "items": WHOLE}),
    ("one for a list of them", TEXT, {"type": "array", "items": TEXT}),
    ("a constant", {"const": "a"}, {"const": "b"}),
    ("true for one", {"const": 1}, {"const": True}),
    ("a value for another", enum("a", "b"), enum("b", "c")),
    ("values for a boolean", enum("yes", "no"), {"type": "boolean"}),
    ("a pattern", {**TEXT, "pattern": "^a"}, {**TEXT, "pattern": "^b"}),
    ("a format", {**TEXT, "format": "date-time"}, {**TEXT, "format": "date"}),
    ("parts of a union", either(TEXT, NULL), either(WHOLE, NULL)),
    ("an optional field's kind", obj(a=TEXT), obj(a=WHOLE)),
    ("a field's name", obj("a", a=TEXT), obj("b", b=TEXT)),
    ("both bounds, apart", {**WHOLE, "minimum": 0, "maximum": 5},
     {**WHOLE, "minimum": 1, "maximum": 6}),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), [it[1:] for it in OTHER], ids=[it[0] for it in OTHER])
def test_what_breaks_in_both_directions(before: dict[str, Any], after: dict[str, Any]) -> None:
    for old, new in ((before, after), (after, before)):
        found = breaks(obj("f", f=old), obj("f", f=new))
        assert {it.backward for it in found} == {True, False}
        assert {it.field.split(".")[0].rstrip("[]") for it in found} == {"f"}


def test_the_way_out_fits_who_would_stumble_over_what() -> None:
    old, new = obj("id", id=TEXT), obj("id tags", id=TEXT, tags=TEXT)
    [added] = breaks(old, new)
    assert (added.field, added.backward) == ("tags", True)
    assert "give it a default" in added.remedy
    [removed] = breaks(new, old)
    assert (removed.field, removed.backward) == ("tags", False)
    assert "keep it" in removed.remedy
    [wider] = breaks(old, obj("id", id=either(TEXT, NULL)))
    assert "a field of another name with a default" in wider.remedy


def test_a_field_is_told_once_for_each_reason() -> None:
    assert reasons(writer=obj(f={"type": "boolean"}), reader=obj(f=TEXT)) == [
        "f: may be a boolean, where a string is read"
    ]


def referring(name: str, defs: dict[str, Any]) -> dict[str, Any]:
    """An object whose field refers to a definition, as pydantic has nested models."""
    return {**obj("f", f={"$ref": f"#/$defs/{name}"}), "$defs": defs}


def test_a_definition_is_followed_whatever_it_is_called_and_wherever_it_stands() -> None:
    old = referring("Part", {"Part": obj("a", a=TEXT)})
    assert breaks(old, referring("Piece", {"Piece": obj("a", a=TEXT)})) == []
    assert breaks(old, obj("f", f=obj("a", a=TEXT))) == []
    assert breaks(old, referring("Part", {"Part": obj("a", a=TEXT, b=TEXT)})) == []
    [narrowed] = breaks(old, referring("Part", {"Part": obj("a b", a=TEXT, b=TEXT)}))
    assert (narrowed.field, narrowed.backward) == ("f.b", True)
    listed = obj("f", f={"type": "array", "items": {"$ref": "#/$defs/P"}})
    changed = listed | {"$defs": {"P": obj(a=WHOLE)}}
    [gone] = {it.field for it in breaks(listed | {"$defs": {"P": obj(a=TEXT)}}, changed)}
    assert gone == "f[].a"


def test_a_model_that_holds_itself_is_compared_to_its_end() -> None:
    def tree(**fields: Any) -> dict[str, Any]:
        below = either({"$ref": "#/$defs/Node"}, NULL)
        return {"$ref": "#/$defs/Node", "$defs": {"Node": obj("label", **fields, below=below)}}

    assert breaks(tree(label=TEXT), tree(label=TEXT)) == []
    assert {it.field for it in breaks(tree(label=TEXT), tree(label=WHOLE))} == {"label"}
    # As deep as one is written out and the other not, they meet again two levels further down.
    unrolled = tree(label=TEXT)
    unrolled["$defs"]["Node"]["properties"]["below"] = either(
        obj("label", label=TEXT, below=either({"$ref": "#/$defs/Node"}, NULL)), NULL
    )
    assert breaks(tree(label=TEXT), unrolled) == []


def test_no_part_of_a_union_is_forgotten_because_another_was_tried_before() -> None:
    part = {"P": obj("a", a=TEXT)}
    old = {**obj("f g", f=either({"$ref": "#/$defs/P"}, NULL), g={"$ref": "#/$defs/P"})}
    [first, second] = breaks(old | {"$defs": part}, old | {"$defs": {"P": obj("a", a=NUMBER)}})[:2]
    assert (first.field, second.field) == ("f", "g.a")

"""What the check does not understand it refuses, wherever it stands and whatever it says."""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, create_model

from services.contracts.compatibility import breaks
from services.contracts.dialect import NotUnderstoodError, check_understood, meaning
from services.contracts.schemas import rendered


class Part(BaseModel):
    """A part."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["part"] = "part"
    size: Annotated[int, Field(gt=0, lt=9)] = 1
    parts: list[Part] = []


class Other(BaseModel):
    kind: Literal["other"] = "other"


class Labelled(BaseModel):
    labels: dict[str, str]


def schema(field: Any) -> dict[str, Any]:
    """That of a model with a field `f`."""
    return json.loads(rendered("an.event", create_model("Model", f=(field, ...))))


UNDERSTOOD = [
    *(str, int, float, bool, date, Any, Part, Part | None, list[Part], list[list[int]]),
    Literal["a"],
    Literal["a", 1, None],
    int | str | None,
    Annotated[str, Field(pattern="^a", min_length=1, max_length=5, deprecated=True)],
    Annotated[float, Field(ge=0, le=1, examples=[0.5])],
    Annotated[list[int], Field(min_length=1, max_length=2)],
]


@pytest.mark.parametrize("field", UNDERSTOOD, ids=str)
def test_what_models_are_made_of_is_understood_and_compatible_with_itself(field: Any) -> None:
    assert breaks(schema(field), schema(field)) == []


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (dict[str, int], "f: additionalProperties beside object"),
        (set[int], "f: uniqueItems beside array"),
        (tuple[int, str], "f: prefixItems beside array"),
        (Annotated[int, Field(multiple_of=2)], "f: multipleOf beside integer"),
        (Annotated[Part | Other, Field(discriminator="kind")], "f: discriminator, oneOf"),
        (Annotated[str, Field(json_schema_extra={"x-more": 1})], "f: x-more beside string"),
        (list[dict[str, int]], "f\\[\\]: additionalProperties"),
        (Labelled, "Labelled.labels: additionalProperties"),
    ],
    ids=str,
)
def test_what_is_not_understood_is_refused_on_either_side_changed_or_not(
    field: Any, reason: str
) -> None:
    known, unknown = schema(str), schema(field)
    for old, new in ((known, unknown), (unknown, known), (unknown, unknown)):
        with pytest.raises(NotUnderstoodError, match=f"^{reason}"):
            breaks(old, new)


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ({"type": ["string", "null"]}, 'f: type \\["string", "null"\\]'),
        ({"type": "thing"}, 'f: type "thing"'),
        ({"type": "string", "minimum": 1}, "f: minimum beside string"),
        ({"minLength": 1}, "f: minLength$"),
        ({"anyOf": [{"type": "null"}], "type": "null"}, "f: type beside anyOf"),
        ({"enum": [1], "minimum": 1}, "f: minimum beside enum"),
        ({"anyOf": [{"not": {}}]}, "f: not$"),
        ({"type": "array", "items": True}, "f\\[\\]: the schema true"),
        ({"type": "array", "items": [{}]}, "f\\[\\]: the schema \\[{}\\]"),
        ({"const": [1]}, "f: the value \\[1\\]"),
        ({"$ref": "#/$defs/Gone"}, "f: \\$ref #/\\$defs/Gone"),
        ({"$ref": "#/$defs/Again"}, "f: \\$ref #/\\$defs/Again"),
        ({"$ref": "#/$defs/P", "minLength": 1}, "f: minLength beside \\$ref"),
    ],
)
def test_what_pydantic_does_not_write_is_refused(part: dict[str, Any], reason: str) -> None:
    defs = {"P": {"type": "string"}, "Again": {"$ref": "#/$defs/P"}}
    document = {"type": "object", "properties": {"f": part}, "$defs": defs}
    with pytest.raises(NotUnderstoodError, match=f"^{reason}"):
        check_understood(document)


def test_words_have_no_meaning_and_fields_of_their_names_have() -> None:
    class Told(BaseModel):
        """A part, told at length."""

        kind: Literal["part"] = Field("part", description="Always the same.")
        size: Annotated[int, Field(gt=0, lt=9, examples=[3])] = 1

    class Plain(BaseModel):
        size: Annotated[int, Field(gt=0, lt=9)] = 1
        kind: Literal["part"] = "part"

    class Named(BaseModel):
        title: str
        description: str

    class Turned(BaseModel):
        description: str
        title: str

    assert meaning(Told.model_json_schema()) == meaning(Plain.model_json_schema())
    assert meaning(Named.model_json_schema()) == meaning(Turned.model_json_schema())
    assert meaning(Named.model_json_schema())["properties"].keys() == {"title", "description"}
    told = Annotated[int, Field(description="How many.")]
    assert meaning(schema(list[told] | None)) == meaning(schema(list[int] | None))
    assert meaning(schema(Annotated[int, Field(ge=0)])) != meaning(schema(int))
    assert meaning(schema(Part)) != meaning(schema(Other))

"""What the check calls compatible is read: payloads made at random, and who knows another version.

Of the versions that are released, and of schemas that nobody would write.
"""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from services.contracts.compatibility import breaks, unreadable
from services.contracts.payloads import PAYLOADS, Identifier, Payload, ResourcePayload
from services.contracts.schemas import FOLDER, rendered
from services.contracts.telemetry import TelemetryPoint
from tests.unit.services.contracts.examples import Schema, documents, examples, unhurried

RELEASED = [
    (path.name.partition(".v")[0], path.name) for path in sorted(FOLDER.glob("*.schema.json"))
]


def valid(payload: object, schema: Schema) -> None:
    jsonschema.Draft202012Validator(schema).validate(payload)


def read(model: type[BaseModel], payload: object) -> BaseModel:
    """As a reader does, who ignores what he does not know; the models refuse it, as producers."""
    return model.model_validate_json(json.dumps(payload), extra="ignore")


@unhurried
@given(st.data())
def test_whatever_is_compatible_is_valid_for_the_reader(data: st.DataObject) -> None:
    writer = data.draw(documents())
    reader = data.draw(documents(like=writer))
    assume(not unreadable(writer, reader))
    payload = data.draw(examples(writer))
    valid(payload, writer)
    valid(payload, reader)


@unhurried
@given(documents())
def test_no_schema_stands_against_itself(schema: Schema) -> None:
    assert breaks(schema, schema) == []


@pytest.mark.parametrize(("event_type", "name"), RELEASED, ids=[it[1] for it in RELEASED])
@unhurried
@given(data=st.data())
def test_the_model_reads_every_version_that_was_released(
    event_type: str, name: str, data: st.DataObject
) -> None:
    model = PAYLOADS[event_type]
    released = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    read(model, data.draw(examples(released)))
    valid(data.draw(examples(json.loads(rendered(event_type, model)))), released)


class Owner(Payload):
    team: Identifier
    mail: str | None = None


class NextResource(ResourcePayload):
    """As the next version of a resource could be."""

    next_owner: Owner | None = None
    next_tags: list[str] = Field(default_factory=list[str], max_length=5)


class NextPoint(TelemetryPoint):
    next_unit: str = ""


@pytest.mark.parametrize(
    ("now", "then"), [(ResourcePayload, NextResource), (TelemetryPoint, NextPoint)]
)
@unhurried
@given(data=st.data())
def test_two_versions_read_each_other(
    now: type[BaseModel], then: type[BaseModel], data: st.DataObject
) -> None:
    schemas: list[Any] = [json.loads(rendered("an.event", model)) for model in (now, then)]
    assert breaks(*schemas) == []
    old, new = (data.draw(examples(schema)) for schema in schemas)
    read(then, old)
    known = {name: it for name, it in new.items() if name in now.model_fields}
    assert read(now, new) == read(now, known)

"""The schemas that others read say what the models say."""

from __future__ import annotations

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.contracts import topics
from services.contracts.payloads import PAYLOADS, VERSIONS
from services.contracts.schemas import check, rendered
from tests.unit.services.contracts.examples import examples, unhurried


def test_what_is_agreed_is_kept() -> None:
    assert not (problems := check()), "\n".join(problems)


@pytest.mark.parametrize("event_type", PAYLOADS)
@unhurried
@given(data=st.data())
def test_a_schema_takes_fields_that_are_added_later_and_the_model_refuses_undeclared_ones(
    event_type: str, data: st.DataObject
) -> None:
    model = PAYLOADS[event_type]
    schema = json.loads(rendered(event_type, model))
    fields = data.draw(examples(schema))
    jsonschema.validate(fields | {"added": "later"}, schema)
    model.model_validate(fields)
    if event_type == topics.TELEMETRY_POINTS:
        # Read by the model itself, years after it was written.
        model.model_validate(fields | {"added": "later"})
        return
    with pytest.raises(ValidationError, match="added\n  Extra inputs are not permitted"):
        model.model_validate(fields | {"added": "later"})


def test_every_event_has_a_payload_and_every_payload_a_version() -> None:
    assert set(PAYLOADS) == {
        *topics.RESOURCE_EVENTS,
        *topics.TASK_EVENTS,
        topics.TELEMETRY_POINTS,
    }
    assert VERSIONS.keys() == PAYLOADS.keys()

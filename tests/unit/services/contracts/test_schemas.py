"""The schemas that others read say what the models say."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from services.contracts import topics
from services.contracts.payloads import PAYLOADS
from services.contracts.schemas import FOLDER, file_name, rendered


@pytest.mark.parametrize("event_type", PAYLOADS)
def test_the_committed_schema_is_the_models(event_type: str) -> None:
    committed = (FOLDER / file_name(event_type)).read_text(encoding="utf-8")
    assert committed == rendered(event_type), (
        "run `python -m services.contracts.schemas` and review what changes for consumers"
    )


@pytest.mark.parametrize("event_type", PAYLOADS)
def test_a_schema_takes_fields_that_are_added_later_and_the_model_refuses_undeclared_ones(
    event_type: str,
) -> None:
    schema = json.loads(rendered(event_type))
    fields = {key: _example(field) for key, field in schema["properties"].items()}
    jsonschema.validate(fields | {"added": "later"}, schema)
    PAYLOADS[event_type].model_validate(fields)
    if (
        event_type == topics.TELEMETRY_POINTS
    ):  # read by the model itself, years after it was written
        PAYLOADS[event_type].model_validate(fields | {"added": "later"})
        return
    with pytest.raises(ValidationError, match="added\n  Extra inputs are not permitted"):
        PAYLOADS[event_type].model_validate(fields | {"added": "later"})


def _example(field: dict[str, Any]) -> object:
    if "const" in field:
        return field["const"]
    if field.get("type") in ("number", "integer"):
        return 1
    return "2026-01-01T00:00:00Z" if field.get("format") == "date-time" else "x"


def test_every_event_has_a_payload_and_no_schema_is_left_over() -> None:
    assert set(PAYLOADS) == {
        *topics.RESOURCE_EVENTS,
        *topics.TASK_EVENTS,
        topics.TELEMETRY_POINTS,
    }
    files = {path.name for path in FOLDER.glob("*.schema.json")}
    assert files == {file_name(event_type) for event_type in PAYLOADS}

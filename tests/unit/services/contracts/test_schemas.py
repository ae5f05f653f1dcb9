"""The schemas that others read say what the models say."""

from __future__ import annotations

import pytest

from services.contracts import topics
from services.contracts.payloads import PAYLOADS
from services.contracts.schemas import FOLDER, file_name, rendered


@pytest.mark.parametrize("event_type", PAYLOADS)
def test_the_committed_schema_is_the_models(event_type: str) -> None:
    committed = (FOLDER / file_name(event_type)).read_text(encoding="utf-8")
    assert committed == rendered(event_type), (
        "run `python -m services.contracts.schemas` and review what changes for consumers"
    )


def test_every_event_has_a_payload_and_no_schema_is_left_over() -> None:
    assert set(PAYLOADS) == {*topics.RESOURCE_EVENTS, *topics.TASK_EVENTS}
    files = {path.name for path in FOLDER.glob("*.schema.json")}
    assert files == {file_name(event_type) for event_type in PAYLOADS}

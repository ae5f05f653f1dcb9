"""The payloads that rest-service builds in SQL are what services/contracts promises."""

from __future__ import annotations

import pytest

from services.contracts.payloads import PAYLOADS
from services.contracts.topics import RESOURCE_EVENTS
from tests.integration.rest_service.conftest import PATH, Rest


@pytest.mark.parametrize("description", [None, 'text with "quotes" and ünïcode'])
async def test_the_payload_of_every_event_is_the_one_that_its_model_declares(
    rest: Rest, description: str | None
) -> None:
    created = await rest.create(name="n" * 255, description=description)
    path = f"{PATH}/{created['id']}"
    body = {"name": "second", "description": description, "status": "archived"}
    updated = (await rest.http.put(path, json=body)).json()
    await rest.http.delete(path)

    events = await rest.events(created["id"])
    assert tuple(event["event_type"] for event in events) == RESOURCE_EVENTS
    # By name and by value: a model alone would also take a field under an optional name.
    payloads = [PAYLOADS[e["event_type"]].model_validate_json(e["body"]) for e in events]
    assert [set(payload.model_fields_set) for payload in payloads] == [
        set(type(payload).model_fields) for payload in payloads
    ]
    stored = [payload.model_dump(mode="json") for payload in payloads]
    for payload, answer in zip(stored, (created, updated), strict=False):
        assert payload == {name: answer[name] for name in payload}
    assert stored[-1] == {"id": created["id"], "status": "deleted"}

"""Those who read topics take payloads of one version ahead, and ignore what they do not know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.async_writer.points import BadPointError, to_point
from services.contracts.envelope import SCHEMA_VERSION, BadEventError
from services.contracts.ids import new_id
from services.contracts.payloads import PAYLOADS, VERSIONS
from services.contracts.schemas import rendered
from services.contracts.topics import RESOURCE_EVENTS, TASK_EVENTS, TELEMETRY_POINTS
from services.event_worker.records import Record, to_record
from tests.unit.services.contracts.examples import examples, unhurried

EVENT_ID = new_id()

UNKNOWN = st.dictionaries(
    st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1).map(lambda name: f"new_{name}"),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
    min_size=1,
)
"""Fields that nobody has declared yet, of any shape."""


def known(topic: str) -> st.SearchStrategy[dict[str, Any]]:
    """A payload as this release's producers write it, of an aggregate `r-1`."""
    made = examples(json.loads(rendered(topic, PAYLOADS[topic])))
    return made.map(lambda it: it | ({"id": "r-1"} if "id" in it else {}))


def record(topic: str, payload: Mapping[str, Any], version: int) -> Record:
    """What event-worker stores of a message."""
    heads = [("event_id", EVENT_ID.encode())]
    heads += [(SCHEMA_VERSION, str(version).encode())] if version > 1 else []
    message: Any = SimpleNamespace(
        topic=lambda: topic,
        key=lambda: b"r-1",
        value=lambda: json.dumps(payload).encode(),
        headers=lambda: heads,
    )
    return to_record(message)


@pytest.mark.parametrize("topic", [*RESOURCE_EVENTS, *TASK_EVENTS])
@unhurried
@given(data=st.data())
def test_event_worker_takes_one_version_ahead_as_it_takes_its_own(
    topic: str, data: st.DataObject
) -> None:
    own, more = data.draw(known(topic)), data.draw(UNKNOWN)
    ahead = record(topic, own | more, VERSIONS[topic] + 1)
    assert ahead == replace(record(topic, own, VERSIONS[topic]), payload=json.dumps(own | more))


@pytest.mark.parametrize("topic", [*RESOURCE_EVENTS, *TASK_EVENTS])
def test_event_worker_takes_none_two_versions_ahead(topic: str) -> None:
    payload = {"id": "r-1", "resource_id": "r-1", "task_id": "t", "action": "scan"}
    with pytest.raises(BadEventError, match="upgrade the consumer, then replay the dead letters"):
        record(topic, payload, VERSIONS[topic] + 2)


def point(payload: Mapping[str, Any], version: int) -> Any:
    heads = [(SCHEMA_VERSION, str(version).encode())] if version > 1 else []
    key = payload["device_id"].encode()
    return SimpleNamespace(key=key, value=json.dumps(payload).encode(), headers=heads)


@unhurried
@given(data=st.data())
def test_async_writer_takes_points_one_version_ahead_and_none_further(data: st.DataObject) -> None:
    own, more = data.draw(known(TELEMETRY_POINTS)), data.draw(UNKNOWN)
    now = VERSIONS[TELEMETRY_POINTS]
    ahead, stored = to_point(point(own | more, now + 1)), to_point(point(own, now))
    assert ahead._replace(message=None) == stored._replace(message=None)
    with pytest.raises(BadPointError, match=r"^header schema_version: .*upgrade the consumer"):
        to_point(point(own, now + 2))

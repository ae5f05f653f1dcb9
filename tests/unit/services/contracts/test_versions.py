"""A message says which version of its schema it is of, and who reads it takes one ahead."""

from __future__ import annotations

from typing import Any

import pytest

from services.contracts import payloads
from services.contracts.envelope import (
    SCHEMA_VERSION,
    BadEventError,
    Envelope,
    check_version,
    parse,
    version_headers,
)
from services.contracts.ids import new_id
from services.contracts.payloads import PAYLOADS
from services.contracts.topics import RESOURCE_CREATED, TELEMETRY_POINTS
from services.ingest_service.telemetry.messages import headers as headers_of_points
from services.outbox_relay.store import _in_order

KNOWN = 3


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release in which every payload has come to version 3."""
    monkeypatch.setattr(payloads, "VERSIONS", dict.fromkeys(PAYLOADS, KNOWN))


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release in which every payload is as it was at first."""
    monkeypatch.setattr(payloads, "VERSIONS", dict.fromkeys(PAYLOADS, 1))


def envelope(**changes: Any) -> Envelope:
    return Envelope(new_id(), RESOURCE_CREATED, "r-1", 1, '{"id": "r-1"}', **changes)


def parsed(stated: str | bytes | None, topic: str = RESOURCE_CREATED) -> Envelope:
    """A message that states a version, read."""
    heads: dict[str, Any] = {"event_id": new_id(), SCHEMA_VERSION: stated}
    return parse(topic, b"r-1", b'{"id": "r-1"}', list(heads.items()))[0]


def row(event_type: str) -> dict[str, Any]:
    """Of the outbox, as the relay claims it."""
    names = ("traceparent", "correlation_id", "aggregate_version", "attempts", "created_at")
    said = {"id": new_id(), "event_type": event_type, "aggregate_id": "r", "payload": "{}"}
    return dict.fromkeys(names) | {"lane": 0, "seq": 1} | said


@pytest.mark.usefixtures("first")
def test_the_first_version_is_not_stated() -> None:
    assert SCHEMA_VERSION not in envelope().headers()
    [event] = _in_order([row(RESOURCE_CREATED)])  # pyright: ignore[reportArgumentType]
    assert SCHEMA_VERSION not in event.event.headers()
    assert version_headers(TELEMETRY_POINTS) == []
    assert [name for name, _ in headers_of_points("trace", "one")] == [
        "traceparent",
        "correlation_id",
    ]


def test_a_version_travels_from_an_envelope_to_the_next() -> None:
    sent = envelope(schema_version=2)
    assert sent.headers()[SCHEMA_VERSION] == b"2"
    assert parse(sent.type, b"r-1", b'{"id": "r-1"}', list(sent.headers().items()))[0] == sent


def test_what_states_no_version_is_of_the_first() -> None:
    assert [parsed(stated).schema_version for stated in (None, "1", b"1")] == [1, 1, 1]


@pytest.mark.usefixtures("later")
def test_producers_state_the_version_that_their_release_writes() -> None:
    [event] = _in_order([row(RESOURCE_CREATED)])  # pyright: ignore[reportArgumentType]
    assert event.event.headers()[SCHEMA_VERSION] == b"3"
    assert headers_of_points("trace", "one")[-1] == (SCHEMA_VERSION, b"3")
    [unknown] = _in_order([row("a.service.of.its.own")])  # pyright: ignore[reportArgumentType]
    assert SCHEMA_VERSION not in unknown.event.headers()


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("stated", [1, 2, 3, 4])
def test_all_versions_up_to_one_ahead_are_read(stated: int) -> None:
    assert parsed(str(stated)).schema_version == stated
    check_version(TELEMETRY_POINTS, [(SCHEMA_VERSION, str(stated).encode())])


@pytest.mark.usefixtures("later")
def test_one_further_ahead_is_refused_and_the_reason_says_what_to_do() -> None:
    for read in (
        lambda: parsed("5"),
        lambda: check_version(RESOURCE_CREATED, [("a", b"\xff"), (SCHEMA_VERSION, b"5")]),
    ):
        with pytest.raises(BadEventError) as caught:
            read()
        assert str(caught.value) == (
            "header schema_version: 5, where this consumer knows version 3 of resource.created and"
            " reads up to 4; upgrade the consumer, then replay the dead letters"
        )


def test_an_event_without_a_model_is_read_up_to_one_ahead_of_the_first() -> None:
    assert parsed("2", "a.service.of.its.own").schema_version == 2
    with pytest.raises(BadEventError, match=r"knows version 1 of a\.service\.of"):
        parsed("3", "a.service.of.its.own")


@pytest.mark.parametrize("stated", ["0", "-1", "", "1.5", "one", "\u0661", "9" * 20, b"\xff"])
def test_a_version_is_a_positive_whole_number(stated: str | bytes) -> None:
    for read in (parsed, lambda it: check_version(RESOURCE_CREATED, [(SCHEMA_VERSION, it)])):
        with pytest.raises(BadEventError, match=f"^header {SCHEMA_VERSION}: "):
            read(stated)

"""The envelope of an event: what travels in Kafka headers beside the JSON payload."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from services.contracts.ids import is_uuid7
from services.contracts.payloads import MAX_ID_LENGTH, version_of

EVENT_ID = "event_id"
EVENT_TYPE = "event_type"
AGGREGATE_VERSION = "aggregate_version"
SCHEMA_VERSION = "schema_version"
"""Which version of its schema a payload is of (docs/events). Left out it is 1."""
TRACEPARENT = "traceparent"
CORRELATION_ID = "correlation_id"

MAX_VERSION = 2**63 - 1  # bigint
VERSIONS_AHEAD = 1
"""How far a payload may be ahead of its reader: as far as one release is of the one before."""

Headers = dict[str, str | bytes | None]


class BadEventError(Exception):
    """A message that no retry can turn into an event; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event as it travels.

    id: UUIDv7, the same on every delivery. aggregate_version: 1, 2, … per aggregate, or None
    for events that are not numbered. payload: the JSON text, as produced or received, and
    schema_version the version of its schema.
    """

    id: str
    type: str
    aggregate_id: str
    aggregate_version: int | None
    payload: str
    traceparent: str | None = None
    correlation_id: str | None = None
    schema_version: int = 1

    def headers(self) -> Headers:
        """The Kafka headers; those without a value are left out."""
        version = None if self.aggregate_version is None else str(self.aggregate_version)
        pairs = (
            (EVENT_ID, self.id),
            (EVENT_TYPE, self.type),
            (AGGREGATE_VERSION, version),
            (TRACEPARENT, self.traceparent),
            (CORRELATION_ID, self.correlation_id),
            (SCHEMA_VERSION, _stated(self.schema_version)),
        )
        return {name: value.encode() for name, value in pairs if value is not None}


def version_headers(event_type: str) -> list[tuple[str, str | bytes | None]]:
    """What a message without an envelope says of its schema's version: none, while that is 1."""
    stated = _stated(version_of(event_type))
    return [] if stated is None else [(SCHEMA_VERSION, stated.encode())]


def check_version(topic: str, headers: Iterable[tuple[str, bytes | str | None]] | None) -> None:
    """Raise BadEventError if a message of `topic` without an envelope is too far ahead."""
    for name, value in headers or ():  # of every message, and next to none says it
        if name == SCHEMA_VERSION:
            _readable(topic, parse_headers([(name, value)]))


def parse_headers(headers: Iterable[tuple[str, bytes | str | None]] | None) -> dict[str, str]:
    """Headers by name, the last of a repeated name. Raises BadEventError unless UTF-8 text."""
    found: dict[str, str] = {}
    for name, value in headers or ():
        if value is None:
            continue
        try:
            text = value.decode() if isinstance(value, bytes) else value
        except UnicodeDecodeError:
            raise BadEventError(f"header {name}: not UTF-8 text") from None
        if "\0" in text:
            raise BadEventError(f"header {name}: contains a NUL character")
        found[name] = text
    return found


def parse(
    topic: str,
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes | str | None]] | None,
) -> tuple[Envelope, dict[str, Any]]:
    """An envelope and its decoded payload from a message of `topic`.

    The aggregate is the message's key. Raises BadEventError for what could not be stored: it is
    checked here so that one bad message cannot fail a batch in the database. What only jsonb
    refuses in the payload (NUL, lone surrogates, deep nesting) is left to the database. A payload
    one version ahead is taken: whoever reads it ignores what is new in it.
    """
    found = parse_headers(headers)
    event_id = found.get(EVENT_ID)
    if event_id is None:
        raise BadEventError(f"header {EVENT_ID}: missing")
    if not is_uuid7(event_id):
        raise BadEventError(f"header {EVENT_ID}: not a UUIDv7")
    event_type = found.get(EVENT_TYPE, topic)
    if event_type != topic:
        raise BadEventError(f"header {EVENT_TYPE}: does not name the topic {topic}")
    schema_version = _readable(topic, found)
    text, payload = _payload(value)
    return (
        Envelope(
            id=event_id,
            type=event_type,
            aggregate_id=_aggregate_id(key),
            aggregate_version=_number(AGGREGATE_VERSION, found),
            payload=text,
            traceparent=found.get(TRACEPARENT),
            correlation_id=found.get(CORRELATION_ID),
            schema_version=schema_version,
        ),
        payload,
    )


def _aggregate_id(key: bytes | None) -> str:
    try:
        text = (key or b"").decode()
    except UnicodeDecodeError:
        raise BadEventError("key: not UTF-8 text") from None
    if not text:
        raise BadEventError("key: missing; it must be the aggregate's id")
    if "\0" in text:
        raise BadEventError("key: contains a NUL character")
    if len(text) > MAX_ID_LENGTH:
        raise BadEventError(f"key: longer than {MAX_ID_LENGTH} characters")
    return text


def _stated(schema_version: int) -> str | None:
    return None if schema_version == 1 else str(schema_version)


def _readable(topic: str, headers: dict[str, str]) -> int:
    stated, known = _number(SCHEMA_VERSION, headers) or 1, version_of(topic)
    if stated > known + VERSIONS_AHEAD:
        raise BadEventError(
            f"header {SCHEMA_VERSION}: {stated}, where this consumer knows version {known} of"
            f" {topic} and reads up to {known + VERSIONS_AHEAD}; upgrade the consumer, then replay"
            " the dead letters"
        )
    return stated


def _number(name: str, headers: dict[str, str]) -> int | None:
    text = headers.get(name)
    if text is None:
        return None
    # isdecimal alone would let other scripts' digits through.
    if not (text.isascii() and text.isdecimal() and len(text) <= 19):
        raise BadEventError(f"header {name}: not a whole number")
    number = int(text)
    if not 1 <= number <= MAX_VERSION:
        raise BadEventError(f"header {name}: must be from 1 to {MAX_VERSION}")
    return number


def _payload(value: bytes | None) -> tuple[str, dict[str, Any]]:
    if value is None:
        raise BadEventError("value: missing")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise BadEventError("value: not UTF-8 text") from None
    try:
        payload = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise BadEventError("value: nested too deeply") from None
    except ValueError as error:  # includes JSONDecodeError and integers of absurd length
        raise BadEventError(f"value: not JSON ({error})") from None
    if not isinstance(payload, dict):
        raise BadEventError("value: not a JSON object")
    return text, payload


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")

"""Points made from Kafka messages, and which of them go into one statement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from services.contracts.envelope import BadEventError, check_version
from services.contracts.telemetry import TelemetryPoint
from services.contracts.topics import TELEMETRY_POINTS

Key = tuple[str, str, datetime]
"""Device, metric and time (UTC): the primary key."""


class BadPointError(Exception):
    """A message that no retry can turn into a point; the text says what is wrong with it."""


class Point(NamedTuple):
    """A point, and the message that it came in (aiokafka's ConsumerRecord)."""

    key: Key
    value: float
    version: int
    message: Any


Versions = tuple[Point, ...]
"""What a batch holds for one key, the newest first; of equal versions the one that came first."""


def to_point(message: Any) -> Point:
    """The point that a message stands for. Raises BadPointError when it stands for none."""
    if message.value is None:
        raise BadPointError("value: missing")
    try:
        check_version(TELEMETRY_POINTS, message.headers)
    except BadEventError as error:
        raise BadPointError(str(error)) from None
    try:
        point = TelemetryPoint.model_validate_json(message.value)
    except ValidationError as error:
        raise BadPointError(_first(error)) from None
    if message.key != point.device_id.encode():
        raise BadPointError("key: is not the device_id of the value")
    return Point((point.device_id, point.metric, point.ts), point.value, point.version, message)


def by_key(points: Iterable[Point]) -> list[Versions]:
    """The points of each key, in the order of the primary key.

    In one order for all writers: two that locked the same rows in different orders would wait for
    each other.
    """
    found: defaultdict[Key, list[Point]] = defaultdict(list)
    for point in points:
        found[point.key].append(point)
    return [
        tuple(sorted(found[key], key=lambda point: point.version, reverse=True))
        for key in sorted(found)
    ]


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, without the value, which is in the dead letter anyway."""
    found = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(("value", *map(str, found["loc"])))
    return f"{place}: {found['msg']}"[:500]

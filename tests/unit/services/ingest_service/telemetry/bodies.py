"""Points, and bodies made of them, as clients send them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from services.ingest_service.telemetry.faults import Examiner
from services.ingest_service.telemetry.points import Bodies, MediaType, NotGoodError, Point
from services.ingest_service.telemetry.settings import PointSettings
from services.shared.http.problem import ProblemError

JSON: MediaType = "application/json"
LINES: MediaType = "application/x-ndjson"


def point(**changes: Any) -> dict[str, Any]:
    """A good one, but for the changes; a field that is ... is left out."""
    good = {
        "device_id": "pump-1",
        "metric": "flow",
        "ts": "2026-11-22T21:00:00.25Z",
        "value": 1.5,
        **changes,
    }
    return {name: value for name, value in good.items() if value is not ...}


def batch(*points: Any) -> bytes:
    return json.dumps({"points": points}).encode()


def ndjson(*points: Any) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in points)


def with_value(text: str) -> bytes:
    """A point whose value is written so."""
    return json.dumps(point(value="V")).replace('"V"', text).encode()


def read(body: bytes, media_type: MediaType = JSON, **settings: Any) -> Sequence[Point]:
    """As the endpoint does. Raises ProblemError."""
    told = PointSettings(**settings)
    bodies = Bodies(told)
    try:
        return bodies.read(body, media_type)
    except NotGoodError:
        return Examiner(told, bodies).examine(body, media_type)


def refused(body: bytes, media_type: MediaType = JSON, **settings: Any) -> ProblemError:
    """What it is answered with."""
    try:
        read(body, media_type, **settings)
    except ProblemError as error:
        return error
    raise AssertionError("it was taken")

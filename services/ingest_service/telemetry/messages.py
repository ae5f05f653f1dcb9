"""Points as Kafka carries them: services/contracts/telemetry.py, written by hand.

What a point may consist of needs no escaping, and a model would take several times as long.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC

from services.contracts.envelope import CORRELATION_ID, TRACEPARENT, version_headers
from services.contracts.topics import TELEMETRY_POINTS
from services.ingest_service.telemetry.points import Point

Message = tuple[bytes, bytes]
"""Key and value."""
Headers = list[tuple[str, str | bytes | None]]


def messages(points: Sequence[Point], versions: Iterable[int]) -> list[Message]:
    """A message for each point, in their order."""
    made: list[Message] = []
    for point, version in zip(points, versions, strict=True):
        device_id, ts = point.device_id, point.ts.astimezone(UTC)
        value = (
            f'{{"device_id":"{device_id}","metric":"{point.metric}",'
            f'"ts":"{ts.isoformat(timespec="microseconds")[:26]}Z",'
            f'"value":{point.value!r},"version":{version}}}'
        )
        made.append((device_id.encode(), value.encode()))
    return made


def headers(traceparent: str, correlation_id: str) -> Headers:
    """Of all messages of a request."""
    own: Headers = [(TRACEPARENT, traceparent.encode()), (CORRELATION_ID, correlation_id.encode())]
    return own + version_headers(TELEMETRY_POINTS)

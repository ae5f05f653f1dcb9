"""Messages and batches of them, as short as tests are readable."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from services.cpu_writer.points import Batch, Parsed, parse

SECOND = 1_000_000
START = datetime(2026, 1, 1, tzinfo=UTC)
BEGIN = int(START.timestamp()) * SECOND
"""In µs since 1970; at the start of a window."""
FAR = BEGIN + 10**6 * SECOND


class Sent(NamedTuple):
    """A point at so many seconds from BEGIN; stamp: its message's time, likewise, or its own."""

    at: float
    device: str = "device"
    value: float = 1.0
    version: int = 1
    metric: str = "metric"
    stamp: float | None = None


def text(it: Sent, **changes: Any) -> bytes:
    ts = START + timedelta(seconds=it.at)
    body = {
        "device_id": it.device,
        "metric": it.metric,
        "ts": f"{ts:%Y-%m-%dT%H:%M:%S.%fZ}",
        "value": it.value,
        "version": it.version,
    }
    return json.dumps(body | changes).encode()


def batch(messages: Sequence[Sent | None], first: int = 0) -> Batch:
    """Messages with the offsets from `first` on; None: one that is no point."""
    return Batch(
        [b"device" if it is None else it.device.encode() for it in messages],
        [b"nothing" if it is None else text(it) for it in messages],
        range(first, first + len(messages)),
        [
            0 if it is None else BEGIN + int((it.at if it.stamp is None else it.stamp) * SECOND)
            for it in messages
        ],
    )


def parsed(messages: Sequence[Sent | None], first: int = 0) -> Parsed:
    return parse(batch(messages, first))

"""Lanes: the outbox's unit of order and of sharing work among relays."""

from __future__ import annotations

import zlib

LANES = 64
"""Number of outbox lanes; the first migration makes a row in relay_lease for each."""


def lane_of(aggregate_id: str) -> int:
    """The lane, 0 to 63, whose events are published in order: crc32 of the id, modulo 64."""
    return zlib.crc32(aggregate_id.encode()) % LANES

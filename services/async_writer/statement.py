"""The one statement of the writer, as text.

A driver's `executemany` is left out on purpose: it makes one statement of many rows only for
statements that it recognizes, and sends row by row, without a word, whatever it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pymysql.converters import escape_string

from services.async_writer.points import Point

MOST_ROWS: Final = 1000
"""In one statement: a quarter of a megabyte where all names are as long as they may be, of the 64
that a server takes."""

# MySQL assigns from left to right: the version comes last, as the value's guard reads the old one.
_HEAD = "INSERT INTO telemetry (device_id, metric, ts, value, version) VALUES "
_TAIL = (
    " AS fresh ON DUPLICATE KEY UPDATE"
    " value = IF(fresh.version > telemetry.version, fresh.value, telemetry.value),"
    " version = GREATEST(fresh.version, telemetry.version)"
)

PROBE: Final = "UPDATE telemetry SET version = version WHERE FALSE"
"""Touches nothing, and fails where the statement above would: on a server that is read-only,
without the right to write, without the table."""


def upsert(points: Sequence[Point]) -> str:
    """Insert `points`, or replace what is older than they are; no two of them have the same key.

    Where the same version is there already nothing changes.
    """
    return _HEAD + ",".join(map(_row, points)) + _TAIL


def _row(point: Point) -> str:
    device, metric, ts = point.key
    value = repr(point.value)
    # Without an exponent it would be a decimal number first, of which MySQL holds 65 digits.
    number = value if "e" in value else f"{value}e0"
    return (
        f"('{escape_string(device)}','{escape_string(metric)}',"
        f"'{ts:%Y-%m-%d %H:%M:%S.%f}',{number},{point.version})"
    )

"""The one statement of the writer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.cpu_writer.rollups import Row
from services.shared.mysql.writer import Writer

_FIGURES: Final = ("minimum", "maximum", "mean", "p50", "p95", "anomaly_score")
_KEY: Final = ("device_id", "metric", "window_start", "window_seconds")
_COLUMNS: Final = f"({', '.join((*_KEY, 'points', *_FIGURES))})"
# The points of a window only become more: who knows fewer of them began to read in its middle, or
# was held up since before the others came, and must not replace what is better. MySQL assigns from
# left to right and sees what it has assigned, so the count, by which all others decide, is last.
_TAKE: Final = "ON DUPLICATE KEY UPDATE " + ", ".join(
    f"{name} = IF(fresh.points >= telemetry_rollups.points, fresh.{name}, telemetry_rollups.{name})"
    for name in (*_FIGURES, "points")
)
PROBE: Final = "UPDATE telemetry_rollups SET points = points WHERE FALSE"
"""Fails where rollups could not be written, and changes nothing."""


def upsert(rows: int) -> str:
    """The statement for so many rollups; each has a row's values with window_seconds after the
    third."""
    values = ", ".join([f"({', '.join(['%s'] * 11)})"] * rows)
    return f"INSERT INTO telemetry_rollups {_COLUMNS} VALUES {values} AS fresh {_TAKE}"  # noqa: S608


class RollupStore:
    """Writes rollups of windows of `window_seconds`."""

    def __init__(self, writer: Writer, window_seconds: int) -> None:
        self._writer = writer
        self._window_seconds = window_seconds

    async def write(self, rows: Sequence[Row]) -> None:
        """Store rollups by one statement, which is its own transaction. Safe to repeat.

        Raises DatabaseUnavailableError, and the driver's errors for what the server refuses.
        """
        values = [value for row in rows for value in (*row[:3], self._window_seconds, *row[3:])]
        await self._writer.execute(upsert(len(rows)), tuple(values))

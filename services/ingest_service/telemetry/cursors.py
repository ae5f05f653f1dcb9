"""Where the next page of points, or of rollups, begins: what the last row's key says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from pydantic import TypeAdapter, ValidationError

from services.contracts.telemetry import EARLIEST, LATEST, Metric
from services.shared.http.cursors import bad_cursor
from services.shared.runtime.cursors import seal, unseal

PATTERN: Final = "^[A-Za-z0-9_-]{4,300}$"
_METRIC: Final[TypeAdapter[str]] = TypeAdapter(Metric)
_LONGEST_WINDOW: Final = 2**32 - 1


class Position(NamedTuple):
    """The place of a row among those of its device."""

    metric: str
    moment: datetime
    seconds: int = 0
    """Of a rollup's window; points have none."""


def encode(position: Position) -> str:
    """The cursor of the page after the row at `position`."""
    microseconds = (position.moment.astimezone(UTC) - EARLIEST) // timedelta(microseconds=1)
    return seal(f"{microseconds} {position.seconds} {position.metric}")


def decode(cursor: str) -> Position:
    """Raises ProblemError when encode() never gave such a cursor."""
    parts = unseal(cursor).split(" ")
    if len(parts) != 3 or not all(one.isascii() and one.isdecimal() for one in parts[:2]):
        raise bad_cursor()
    if any(len(one) > 18 for one in parts[:2]) or int(parts[1]) > _LONGEST_WINDOW:
        raise bad_cursor()
    try:
        moment = EARLIEST + timedelta(microseconds=int(parts[0]))
        metric = _METRIC.validate_python(parts[2])
    except (OverflowError, ValidationError):
        raise bad_cursor() from None
    if moment > LATEST:
        raise bad_cursor()
    return Position(metric, moment, int(parts[1]))

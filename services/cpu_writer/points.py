"""Points in columns, made of messages: what is parsed in the processes of the pool.

A point costs some hundred bytes as an object and its share of the interpreter's time whenever it is
touched; in columns it costs 36, and numpy touches a thousand of them in microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from services.contracts.telemetry import TelemetryPoint

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_OBJECT_BYTES: Final = 600
"""What five arrays and their holder take beside their contents."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages of one partition as they came, in the order of their offsets, one entry for each.

    stamps: the time that the message itself carries, in µs since 1970.
    """

    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    offsets: Sequence[int]
    stamps: Sequence[int]

    def __len__(self) -> int:
        return len(self.offsets)


@dataclass(frozen=True, slots=True)
class Points:
    """Points in columns, in the order of their offsets.

    names: of the series, `device TAB metric`, separated by newlines. Which of them a point belongs
    to is its number in `series`. at: event time in µs since 1970.
    """

    names: bytes
    series: Ints
    at: Ints
    value: Floats
    version: Ints
    offset: Ints

    def __len__(self) -> int:
        return len(self.offset)

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return 40 * len(self) + len(self.names) + _OBJECT_BYTES

    def some(self, which: Any) -> Points:
        """Those that an index of numpy names; with all the names."""
        return Points(
            self.names,
            self.series[which],
            self.at[which],
            self.value[which],
            self.version[which],
            self.offset[which],
        )

    def narrowed(self, names: Sequence[bytes]) -> Points:
        """The same with only the names that are used; `names` are all of them, as a list."""
        used, series = np.unique(self.series, return_inverse=True)
        kept = b"\n".join(names[number] for number in used.tolist())
        return Points(kept, series, self.at, self.value, self.version, self.offset)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A batch, read. stamp: of each point's message. unreadable: offsets of what is no point."""

    points: Points
    stamp: Ints
    unreadable: Ints


def parse(batch: Batch) -> Parsed:
    """Read a batch. What is no point, or is not where its key belongs, is set apart."""
    numbers: dict[tuple[str, str], int] = {}
    series: list[int] = []
    at: list[int] = []
    value: list[float] = []
    version: list[int] = []
    good: list[int] = []
    bad: list[int] = []
    read = TelemetryPoint.model_validate_json
    for place, (key, text) in enumerate(zip(batch.keys, batch.values, strict=True)):
        try:
            point = read(text or b"")
        except ValidationError:
            bad.append(place)
            continue
        if key != point.device_id.encode():
            # In another partition its window would be counted apart, and one overwrite the other.
            bad.append(place)
            continue
        series.append(numbers.setdefault((point.device_id, point.metric), len(numbers)))
        at.append((point.ts - _EPOCH) // _MICROSECOND)
        value.append(point.value)
        version.append(point.version)
        good.append(place)
    offsets = np.array(batch.offsets, np.int64)
    points = Points(
        "\n".join(f"{device}\t{metric}" for device, metric in numbers).encode(),
        np.array(series, np.int64),
        np.array(at, np.int64),
        np.array(value, np.float64),
        np.array(version, np.int64),
        offsets[good],
    )
    return Parsed(points, np.array(batch.stamps, np.int64)[good], offsets[bad])


def joined(parts: Sequence[Points]) -> Points:
    """One of several, their points one after the other; a name may be in it more than once."""
    if len(parts) == 1:
        return parts[0]
    base, series = 0, list[Ints]()
    for part in parts:
        series.append(part.series + base)
        base += part.names.count(b"\n") + 1 if part.names else 0
    return Points(
        b"\n".join(part.names for part in parts if part.names),
        np.concatenate(series),
        np.concatenate([part.at for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.version for part in parts]),
        np.concatenate([part.offset for part in parts]),
    )


def newest(points: Points, *before: Ints) -> Ints:
    """Which points stay: of those of one series and time the one with the highest version.

    Of equal versions the first by offset. In the order of `before`, series and time; the first of
    `before` counts most.
    """
    keys = (*before, points.series, points.at)
    order = np.lexsort((-points.offset, points.version, *reversed(keys)))
    if len(order) == 0:
        return order
    last = np.ones(len(order), bool)
    last[:-1] = _differ(key[order] for key in keys)
    return order[last]


def _differ(columns: Iterable[Ints]) -> NDArray[np.bool_]:
    """Whether each row but the last differs from the next in any column."""
    return np.any([column[1:] != column[:-1] for column in columns], axis=0)

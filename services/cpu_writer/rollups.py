"""Rollups of windows that are closed, made of their points: work for the processes of the pool."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from services.cpu_writer.points import Ints, Points, joined, newest
from services.cpu_writer.statistics import Figures, figures

Row = tuple[str, str, datetime, int, float, float, float, float, float, float]
"""device_id, metric, window_start (UTC, without a zone), points, minimum, maximum, mean, p50, p95,
anomaly_score."""


@dataclass(frozen=True, slots=True)
class Rollups:
    """Rollups in columns, in the order of the table's key: device, metric, start of the window.

    start: in µs since 1970. series: which of `names` (as Points has them) each is of.
    """

    names: Sequence[bytes]
    series: Ints
    start: Ints
    figures: Figures

    def __len__(self) -> int:
        return len(self.start)

    def rows(self, first: int, most: int) -> list[Row]:
        """At most `most` of them from `first` on."""
        some, it = slice(first, first + most), self.figures
        columns = (it.minimum, it.maximum, it.mean, it.p50, it.p95, it.anomaly_score)
        floats = zip(*(column[some].tolist() for column in columns), strict=True)
        keys = zip(
            self.series[some].tolist(),
            self.start[some].tolist(),
            it.count[some].tolist(),
            strict=True,
        )
        return [
            (*self._name(series), moment(start), count, *figures)
            for (series, start, count), figures in zip(keys, floats, strict=True)
        ]

    def parts(self, most: int) -> Iterator[list[Row]]:
        """All of them, at most `most` at a time."""
        return (self.rows(first, most) for first in range(0, len(self), most))

    def _name(self, series: int) -> tuple[str, str]:
        device, _, metric = self.names[series].decode().partition("\t")
        return device, metric


def roll_up(windows: Sequence[tuple[int, Sequence[Points]]]) -> Rollups:
    """Rollups of windows, each given as its start in µs and its points, each point once or more.

    The same points give the same bits, whatever the order in which they are given.
    """
    points = joined([part for _, parts in windows for part in parts])
    start = np.repeat(
        np.array([at for at, _ in windows], np.int64),
        [sum(map(len, parts)) for _, parts in windows],
    )
    names, number = _sorted_names(points.names)
    points = Points(
        b"", number[points.series], points.at, points.value, points.version, points.offset
    )
    # By series before window: that is how the rows are to be sorted.
    kept = newest(points, points.series, start)
    series, start = points.series[kept], start[kept]
    new = np.ones(len(kept), bool)
    new[1:] = (series[1:] != series[:-1]) | (start[1:] != start[:-1])
    group = np.cumsum(new) - 1
    return Rollups(names, series[new], start[new], figures(points.value[kept], group))


def _sorted_names(joined_names: bytes) -> tuple[list[bytes], Ints]:
    """The names, each once and in order, and for each as given which of them it is.

    A tabulator is below whatever a name may contain, so these sort like device and metric apart.
    """
    given = joined_names.split(b"\n")
    names = sorted(set(given))
    numbers = {name: number for number, name in enumerate(names)}
    return names, np.array([numbers[name] for name in given], np.int64)


def moment(at: int) -> datetime:
    """A time in µs since 1970 as MySQL's driver takes it: UTC, without a zone."""
    seconds, microseconds = divmod(at, 1_000_000)
    whole = datetime.fromtimestamp(seconds, UTC)
    return whole.replace(microsecond=microseconds, tzinfo=None)

"""Event-time windows of one partition: which are open, which points they hold, which may close.

Windows are aligned to 1970 and half-open. A partition's watermark is the highest event time seen in
it; the window that ends at E closes when the watermark reaches E + grace. A point counts for the
watermark at most as late as its message's own time, so one that claims to be of tomorrow closes
nothing; one that claims to be of later than its message's time by more than `ahead` is left out
altogether, or its window would stay open, and the committed offset where it is, until then.

All this is a function of the log alone: whoever reads the same messages closes the same windows
with the same points at the same offsets, however the messages were cut into batches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from services.cpu_writer.points import Ints, Parsed, Points, joined
from services.cpu_writer.progress import Progress

LATE: Final = "closed"
AHEAD: Final = "ahead"
"""Why a point is in no window: its window was closed before it came, or it claims to be of a time
that had not come."""
UNREADABLE: Final = "unreadable"

_SMALL: Final = 4096
"""Points below which what is held is put together."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Of windows; all in µs."""

    window: int
    grace: int
    ahead: int


@dataclass(slots=True)
class Window:
    """An open one. first: the lowest offset of its points."""

    first: int
    parts: list[Points] = field(default_factory=list[Points])

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    def add(self, points: Points) -> None:
        # Many small parts take more memory than their points. Like grows with like: a point is
        # copied a dozen times at most, however the parts come.
        while self.parts and len(self.parts[-1]) <= len(points) < _SMALL:
            points = joined([self.parts.pop(), points])
        self.parts.append(points)


class Partition:
    """What is known of a partition from `progress` on; position: the offset to read next."""

    def __init__(self, rule: Rule, progress: Progress) -> None:
        self._rule = rule
        self._seen = progress.seen
        self._closed = progress.closed
        self._watermark = 0
        self._windows: dict[int, Window] = {}
        self.position = progress.offset
        self.size = 0
        """Bytes of the points that are held, about."""
        self._left_out: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many windows are open."""
        return len(self._windows)

    @property
    def watermark(self) -> int:
        """In µs since 1970; 0 before the first point."""
        return self._watermark

    @property
    def reached(self) -> int:
        """The start of the oldest open window, or where one might start: how far it has come."""
        return min(self._windows, default=max(self._closed, self._watermark))

    def take(self, parsed: Parsed, end: int, now: int) -> None:
        """Take in a batch that ends before the offset `end`; `now` in µs since 1970."""
        points = parsed.points
        rule = self._rule
        ahead = points.at > parsed.stamp + rule.ahead
        # A message's time is a clock of somebody else's, who may be ahead of ours.
        came = np.minimum(parsed.stamp, now)
        marks = np.where(ahead, 0, np.minimum(points.at, came))
        marks = np.maximum(np.maximum.accumulate(marks), self._watermark)
        closed = np.maximum(_floor(marks - rule.grace, rule.window), self._closed)
        start = _floor(points.at, rule.window)
        late = ~ahead & (start + rule.window <= closed)
        new = points.offset >= self._seen
        self._left_out[AHEAD] += int(np.count_nonzero(ahead & new))
        self._left_out[LATE] += int(np.count_nonzero(late & new))
        self._left_out[UNREADABLE] += int(np.count_nonzero(parsed.unreadable >= self._seen))
        self._hold(points, start, np.flatnonzero(~(ahead | late)))
        if len(marks):
            self._watermark = int(marks[-1])
            self._closed = int(closed[-1])
        self.position = max(self.position, end)

    def close_by_clock(self, until: int) -> None:
        """Close the open windows that end by `until` (µs), though no point says they are over.

        No other: of a time from which nothing has come yet, points may still come in their order.
        """
        ends = [start + self._rule.window for start in self._windows]
        self._closed = max([self._closed, *(end for end in ends if end <= until)])

    def oldest_end(self) -> int | None:
        """When the oldest open window ends, in µs; None when none is open."""
        return min(self._windows) + self._rule.window if self._windows else None

    def due(self) -> list[tuple[int, Sequence[Points]]]:
        """The windows that are closed and not written yet, with their points."""
        return [
            (start, self._windows[start].parts)
            for start in sorted(self._windows)
            if start + self._rule.window <= self._closed
        ]

    def written(self, starts: Sequence[int]) -> None:
        """Forget those windows: their rollups are in the database."""
        for start in starts:
            self.size -= self._windows.pop(start).size

    def progress(self) -> Progress:
        """What to commit. Only while no window is due: it says that the closed are written."""
        offset = min((it.first for it in self._windows.values()), default=self.position)
        seen = max(self._seen, self.position)
        return Progress(offset, seen, self._closed, self._rule.window)

    def committed(self, progress: Progress) -> Counter[str]:
        """Note what is committed; how many messages it was the first to leave out, by reason.

        To be counted now and no sooner: whoever comes after one that did not get so far finds them
        again.
        """
        self._seen = progress.seen
        left_out, self._left_out = self._left_out, Counter()
        return left_out

    def _hold(self, points: Points, start: Ints, kept: Ints) -> None:
        if not len(kept):
            return
        start = start[kept]
        order = np.argsort(start, kind="stable")
        kept, start = kept[order], start[order]
        bounds = np.flatnonzero(np.diff(start, prepend=-1))
        names = points.names.split(b"\n") if len(bounds) > 1 else ()
        for first, last in zip(bounds, (*bounds[1:], len(start)), strict=True):
            some = points.some(kept[first:last])
            if names:
                some = some.narrowed(names)
            window = self._windows.setdefault(int(start[first]), Window(int(some.offset[0])))
            self.size -= window.size
            window.first = min(window.first, int(some.offset[0]))
            window.add(some)
            self.size += window.size


def _floor(at: Ints, window: int) -> Ints:
    return at - at % window

"""Points in the traces of the requests that they came with.

Between being read and being written a point waits in its window, and a window has points of many.
So two things are told: that messages were read, in the trace of each origin, and that windows were
rolled up and written, in the trace of the first origin that has a point in them, with links to the
others. One message of a batch stands for all of its origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from aiokafka import ConsumerRecord

from services.cpu_writer.points import Points
from services.shared.kafka.traced import came
from services.shared.tracing import spans
from services.shared.tracing.processing import Processing

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_MOST: Final = 100
"""Origins of a partition that are remembered until their window is written."""


class Origins:
    """Of one partition: those of recorded messages whose points are not written yet, by offset."""

    def __init__(self) -> None:
        self._open: dict[int, Span] = {}

    def note(self, read: Reading) -> None:
        """Its messages have been taken into windows."""
        for offset, span in read.offsets.items():
            if len(self._open) < _MOST:
                self._open[offset] = span

    def take(self, windows: Sequence[tuple[int, Sequence[Points]]]) -> list[Span]:
        """Those that have a point in these windows, and are remembered no longer."""
        if not self._open:
            return []
        known = np.array(list(self._open), np.int64)
        found = np.zeros(len(known), bool)
        for _, parts in windows:
            for part in parts:
                found |= np.isin(known, part.offset)
        return [self._open.pop(offset) for offset in known[found].tolist()]


class Reading:
    """Messages from their arrival until their points are in their windows."""

    def __init__(self, records: Sequence[ConsumerRecord], group: str) -> None:
        self.offsets: dict[int, Span] = {}
        self._made: Processing | None = None
        if not spans.on():
            return
        about = {"messaging.consumer.group.name": group}
        self._made = Processing("kafka", map(came, records), about)
        left = dict(self._made.spans)
        for record in records if left else ():
            span = left.pop(came(record), None)
            if span is not None:
                self.offsets[record.offset] = span

    def end(self) -> None:
        """They are, or another reads them."""
        if self._made is not None:
            self._made.end()

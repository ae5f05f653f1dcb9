"""What is done with a batch of messages: sort out the bad, store the good by one statement."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from services.async_writer.letters import Letter
from services.async_writer.metrics import WriterMetrics
from services.async_writer.points import BadPointError, Point, by_key, to_point
from services.async_writer.refusals import store_or_refuse
from services.async_writer.store import PointStore
from services.shared.kafka.dead_letters import BadMessage
from services.shared.tracing import spans


class Processor:
    """Turns batches into rows of `store`; `beat` is called before each statement, for a batch whose
    points are refused one by one may take long and is no sign that all stands still."""

    def __init__(self, store: PointStore, metrics: WriterMetrics, beat: Callable[[], None]) -> None:
        self._store = store
        self._metrics = metrics
        self._beat = beat

    async def process(self, messages: Sequence[Any]) -> list[BadMessage]:
        """Store what can be stored of `messages` (ConsumerRecord) and return the rest.

        One statement; only when the database refuses the content of a point, more for halves of
        them until that point is alone. Safe to repeat. Raises when the database is away, not
        migrated yet, or too slow for so many.
        """
        started = time.monotonic()
        bad: list[BadMessage] = []
        good: list[Point] = []
        for message in messages:
            try:
                good.append(to_point(message))
            except BadPointError as error:
                bad.append(BadMessage(Letter(message), str(error)))
        refused = await store_or_refuse(by_key(good), self._write)
        bad += [BadMessage(Letter(one.point.message), one.reason) for one in refused]
        self._metrics.written.inc(len(good) - len(refused))
        self._metrics.dead.inc(len(bad))
        self._metrics.batch_points.observe(len(messages))
        self._metrics.batch_seconds.observe(time.monotonic() - started, spans.exemplar())
        return bad

    async def _write(self, points: Sequence[Point]) -> None:
        self._beat()
        await self._store.write(points)

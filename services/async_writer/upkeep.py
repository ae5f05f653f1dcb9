"""Deletes points and rollups that are older than they are to be kept, a piece at a time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from services.async_writer.metrics import WriterMetrics
from services.async_writer.settings import AsyncWriterSettings
from services.shared.mysql.blocking import Connection
from services.shared.mysql.writer import Writer
from services.shared.runtime.logging import get_logger
from services.shared.runtime.rounds import keep_doing

log = get_logger(__name__)

_DEVICES: Final = 1000
"""That one question for what is old looks at."""
_ROWS: Final = 1000
"""Most that one statement deletes: it holds their locks, and copies apply it as one."""
_REST: Final = 4
"""Times as long as a statement took nothing is done: points that arrive come first."""


@dataclass(frozen=True, slots=True)
class Aging:
    """A table whose key begins with device_id, metric and `time`, and for how many days its rows
    are kept."""

    table: str
    time: str
    days: int

    @property
    def _old(self) -> str:
        return f"< UTC_TIMESTAMP(6) - INTERVAL {self.days} DAY"

    # Names and numbers are our own in all three; what comes from rows is given as values.
    @property
    def devices(self) -> str:
        """The next ones in the order of the key; takes the last one before."""
        return (
            f"SELECT DISTINCT device_id FROM {self.table}"  # noqa: S608
            f" WHERE device_id > %s ORDER BY device_id LIMIT {_DEVICES}"
        )

    @property
    def series(self) -> str:
        """What of them has old rows; takes the first and the last device. One look per series."""
        return (
            f"SELECT device_id, metric FROM {self.table} WHERE device_id BETWEEN %s AND %s"  # noqa: S608
            f" GROUP BY device_id, metric HAVING MIN({self.time}) {self._old}"
        )

    @property
    def delete(self) -> str:
        """The oldest of a series; takes device and metric."""
        return (
            f"DELETE FROM {self.table} WHERE device_id = %s AND metric = %s"  # noqa: S608
            f" AND {self.time} {self._old} ORDER BY {self.time} LIMIT {_ROWS}"
        )


def aging(settings: AsyncWriterSettings) -> Iterator[Aging]:
    """The tables that rows are deleted from."""
    if settings.keep_points_days is not None:
        yield Aging("telemetry", "ts", settings.keep_points_days)
    if settings.keep_rollups_days is not None:
        yield Aging("telemetry_rollups", "window_start", settings.keep_rollups_days)


class Upkeep:
    """Looks through the tables again and again, beside the batches.

    Every process of the service does, and none waits for another: each takes what is old in an
    order of its own, and what somebody else has deleted meanwhile is not found.
    """

    def __init__(
        self, writer: Writer, tables: Sequence[Aging], metrics: WriterMetrics, every: float
    ) -> None:
        self._writer = writer
        self._tables = tables
        self._metrics = metrics
        self._every = every

    async def keep(self) -> None:
        """tend() for ever. Cancel it to stop."""
        if self._tables:
            await keep_doing(self.tend, every=self._every, trouble="upkeep_failed")

    async def tend(self) -> None:
        """One round: all that is old by now is deleted. Raises as the writer does."""
        for table in self._tables:
            deleted = await self._tend(table)
            if deleted:
                log.info("old_rows_deleted", table=table.table, rows=deleted, days=table.days)

    async def _tend(self, table: Aging) -> int:
        deleted, last = 0, ""
        while devices := await self._ask(table.devices, (last,)):
            first, last = devices[0][0], devices[-1][0]
            found = await self._ask(table.series, (first, last))
            random.shuffle(found)
            for series in found:
                deleted += await self._delete(table, series)
        return deleted

    async def _delete(self, table: Aging, series: tuple[str, ...]) -> int:
        deleted, rows = 0, _ROWS
        while rows == _ROWS:
            began = time.monotonic()
            rows = await self._writer.execute(table.delete, series)
            self._metrics.deleted.labels(table.table).inc(rows)
            deleted += rows
            await asyncio.sleep(_REST * (time.monotonic() - began))
        return deleted

    async def _ask(self, question: str, values: tuple[str, ...]) -> list[tuple[str, ...]]:
        def ask(connection: Connection) -> list[tuple[str, ...]]:
            with connection.cursor() as cursor:
                cursor.execute(question, values)
                return list(cursor.fetchall())

        return await self._writer.run(ask)

"""What is done with windows that are over: rollups made, written, and then committed as done."""

from __future__ import annotations

import time
from collections.abc import Sequence

from services.cpu_writer.member import Member, Owned
from services.cpu_writer.metrics import WriterMetrics
from services.cpu_writer.points import Points
from services.cpu_writer.rollups import Rollups, Row, roll_up
from services.cpu_writer.settings import CpuWriterSettings
from services.cpu_writer.store import RollupStore
from services.cpu_writer.waiting import Waiting
from services.shared.runtime import context
from services.shared.runtime.logging import get_logger
from services.shared.runtime.pool import Pool
from services.shared.runtime.trouble import Trouble
from services.shared.tracing import spans

log = get_logger(__name__)

_SHORTEST, _LONGEST = 0.2, 5.0
_WINDOWS_AT_ONCE = 500


class AbandonedError(Exception):
    """The partitions are no longer ours, or the service stops; somebody reads them again."""


class Closer:
    """Closes windows of partitions, those of one partition after the other.

    While the database is away this waits for it, and nothing is read: the client is asked for no
    messages, keeps what it has fetched, and stays in its group.
    """

    def __init__(
        self,
        pool: Pool,
        store: RollupStore,
        settings: CpuWriterSettings,
        *,
        metrics: WriterMetrics,
        waiting: Waiting,
    ) -> None:
        self._pool = pool
        self._store = store
        self._settings = settings
        self._metrics = metrics
        self._waiting = waiting
        self._trouble = Trouble()

    async def close_due(self, member: Member) -> None:
        """Write and commit every window that is closed. Raises AbandonedError."""
        for owned in list(member.owned.values()):
            if owned.partition.due() and member.owned.get(owned.place) is owned:
                async with member.writing:
                    await self._close(member, owned)
                    await self._waiting.patiently(member.commit([owned]))

    async def _close(self, member: Member, owned: Owned) -> None:
        due = owned.partition.due()
        losses = member.losses
        # Many at once where a backlog is sparse: a window each would be a statement each.
        for first in range(0, len(due), _WINDOWS_AT_ONCE):
            some = due[first : first + _WINDOWS_AT_ONCE]
            since = time.monotonic()
            with (
                context.Serving(owned.origins.take(some)),
                spans.step("roll up", "INTERNAL", {"millrace.windows": len(some)}),
            ):
                rollups = await self._waiting.patiently(self._rolled_up(some))
                for rows in rollups.parts(self._settings.rows):
                    await self._insist(member, losses, rows)
                    self._metrics.written.inc(len(rows))
                owned.partition.written([start for start, _ in some])
                self._metrics.write_seconds.observe(time.monotonic() - since, spans.exemplar())

    async def _rolled_up(self, windows: Sequence[tuple[int, Sequence[Points]]]) -> Rollups:
        if sum(len(part) for _, parts in windows for part in parts) <= self._settings.inline_points:
            return roll_up(windows)
        return await self._pool.run(roll_up, windows)

    async def _insist(self, member: Member, losses: int, rows: Sequence[Row]) -> None:
        """Write rollups, again and again until it succeeds."""
        pause = _SHORTEST
        while True:
            if member.losses != losses or (pause > _SHORTEST and self._waiting.stopping):
                raise AbandonedError
            try:
                await self._waiting.patiently(self._store.write(rows))
            except Exception as error:  # any: nothing may be skipped, whatever the reason
                self._metrics.consumer.retries.inc()
                if self._trouble.worth_logging("rollups_will_be_retried"):
                    reason = f"{type(error).__name__}: {error}"[:500]
                    log.warning("rollups_will_be_retried", error=reason)
            else:
                if self._trouble.over():
                    log.info("rollups_written_again")
                return
            # In short turns: partitions that are to go are not kept waiting.
            until = time.monotonic() + pause
            while time.monotonic() < until and member.losses == losses:
                if self._waiting.stopping:
                    break
                await self._waiting.rest(min(0.2, pause))
            pause = min(_LONGEST, 2 * pause)

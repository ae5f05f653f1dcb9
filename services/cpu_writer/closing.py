"""What is done with windows that are over: rollups made, written, and then committed as done."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from aiokafka import TopicPartition

from services.cpu_writer.member import Member, Owned
from services.cpu_writer.metrics import WriterMetrics
from services.cpu_writer.points import Points
from services.cpu_writer.pool import Pool
from services.cpu_writer.rollups import Rollups, roll_up
from services.cpu_writer.settings import WriterSettings
from services.cpu_writer.store import RollupStore
from services.shared.runtime.heartbeat import Heartbeat
from services.shared.runtime.logging import get_logger
from services.shared.runtime.trouble import Trouble

log = get_logger(__name__)

T = TypeVar("T")
_SHORTEST, _LONGEST = 0.2, 5.0
_WINDOWS_AT_ONCE = 500
_POLL_SECONDS = 0.5


class AbandonedError(Exception):
    """The partitions are no longer ours, or the service stops; somebody reads them again."""


class Closer:
    """Closes windows of partitions, those of one partition after the other."""

    def __init__(
        self,
        pool: Pool,
        store: RollupStore,
        settings: WriterSettings,
        *,
        metrics: WriterMetrics,
        heartbeat: Heartbeat,
        stop: asyncio.Event,
    ) -> None:
        self._pool = pool
        self._store = store
        self._settings = settings
        self._metrics = metrics
        self._heartbeat = heartbeat
        self._stop = stop
        self._trouble = Trouble()

    async def close_due(self, member: Member) -> None:
        """Write and commit every window that is closed. Raises AbandonedError."""
        for owned in list(member.owned.values()):
            if owned.partition.due() and member.owned.get(owned.place) is owned:
                async with member.writing:
                    await self._close(member, owned)
                    await member.commit([owned])

    async def _close(self, member: Member, owned: Owned) -> None:
        due = owned.partition.due()
        losses = member.losses
        # Many at once where a backlog is sparse: a window each would be a statement each.
        for first in range(0, len(due), _WINDOWS_AT_ONCE):
            some = due[first : first + _WINDOWS_AT_ONCE]
            since = time.monotonic()
            rollups = await self._alive(self._rolled_up(some))
            for rows in rollups.parts(self._settings.rows):
                await self._insist(member, losses, lambda rows=rows: self._store.write(rows))
                self._metrics.written.inc(len(rows))
            owned.partition.written([start for start, _ in some])
            self._metrics.write_seconds.observe(time.monotonic() - since)

    async def _rolled_up(self, windows: Sequence[tuple[int, Sequence[Points]]]) -> Rollups:
        if sum(len(part) for _, parts in windows for part in parts) <= self._settings.inline_points:
            return roll_up(windows)
        return await self._pool.run(roll_up, windows)

    async def _insist(
        self, member: Member, losses: int, action: Callable[[], Awaitable[None]]
    ) -> None:
        """Repeat `action` until it succeeds. The client is asked for messages all the while, of
        partitions that are paused: without that it would leave the group after some minutes."""
        pause = _SHORTEST
        paused: list[TopicPartition] = []
        try:
            while True:
                if member.losses != losses or (pause > _SHORTEST and self._stop.is_set()):
                    raise AbandonedError
                try:
                    await self._alive(action())
                except Exception as error:  # any: nothing may be skipped, whatever the reason
                    self._metrics.consumer.retries.inc()
                    if self._trouble.worth_logging("rollups_will_be_retried"):
                        reason = f"{type(error).__name__}: {error}"[:500]
                        log.warning("rollups_will_be_retried", error=reason)
                else:
                    if self._trouble.over():
                        log.info("rollups_written_again")
                    return
                if member.losses != losses:
                    raise AbandonedError
                reading = [it.place for it in member.owned.values() if it.waiting is None]
                fresh = [it for it in reading if it not in paused]
                member.client.pause(*fresh)
                paused += fresh
                await self._poll(member, pause)
                pause = min(_LONGEST, 2 * pause)
        finally:
            ours = member.client.assignment() if member.losses == losses else ()
            member.client.resume(*(it for it in paused if it in ours))

    async def _poll(self, member: Member, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stop.is_set():
            self._heartbeat.beat()
            await asyncio.sleep(min(left, 0.5))
            # Paused partitions give nothing. While a rebalance waits for the write that is in hand
            # the client answers nobody: who waited for it would wait for himself.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await member.client.getmany(timeout_ms=0)

    async def _alive(self, action: Awaitable[T]) -> T:
        """Beat while waiting: a statement has a deadline of its own, and work in the pool too."""
        task = asyncio.ensure_future(action)
        try:
            while not (await asyncio.wait({task}, timeout=1))[0]:
                self._heartbeat.beat()
        finally:
            if not task.done():
                task.cancel()
        return task.result()

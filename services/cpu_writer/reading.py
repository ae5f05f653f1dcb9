"""The loop of the writer: takes messages, has them parsed, sorts the points into windows.

Batches are parsed side by side in the processes of the pool and taken in one after the other, in
the order of their offsets. What stays for the event loop is the client, and some vector operations
for each batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import dataclass

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from services.cpu_writer.closing import AbandonedError, Closer
from services.cpu_writer.holding import Holding, judge
from services.cpu_writer.member import Member, Owned
from services.cpu_writer.points import Batch, Parsed, parse
from services.cpu_writer.settings import CpuWriterSettings
from services.cpu_writer.traced import Reading
from services.cpu_writer.waiting import StoppedError, Waiting
from services.shared.runtime.logging import get_logger
from services.shared.runtime.pool import Pool
from services.shared.runtime.trouble import Trouble

log = get_logger(__name__)

_WAIT_MS = 1000
_GATHER_SECONDS = 0.2
_LOOK_SECONDS = 1.0
_ANSWER_SECONDS = 5.0
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class _InHand:
    owned: Owned
    end: int
    parsing: asyncio.Task[Parsed]
    reading: Reading


class Reader:
    """Reads for one member until its client breaks, or the service stops."""

    def __init__(
        self,
        member: Member,
        pool: Pool,
        closer: Closer,
        settings: CpuWriterSettings,
        *,
        waiting: Waiting,
        group: str,
    ) -> None:
        self._member = member
        self._group = group
        self._pool = pool
        self._closer = closer
        self._settings = settings
        self._waiting = waiting
        self._in_hand: deque[_InHand] = deque()
        self._most_in_hand = 2 * settings.processes
        self._standing: Owned | None = None
        self._trouble = Trouble()
        self._look_due = 0.0
        self._commit_due = 0.0

    async def run(self) -> None:
        """Until the service stops; what is open then is read again. Raises what the client does."""
        try:
            while not self._waiting.stopping:
                # What is in hand outlasts it: a batch left out would be a gap in its windows.
                with contextlib.suppress(AbandonedError, StoppedError):
                    await self._turn()
            await self._waiting.patiently(self._member.commit(self._member.owned.values()))
        finally:
            for it in self._in_hand:
                it.parsing.cancel()

    async def _turn(self) -> None:
        await self._waiting.unless_stopped(self._member.adopt())
        self._make_room()
        taken = 0
        if len(self._in_hand) < self._most_in_hand:
            taken = await self._take()
        if self._in_hand and not (taken and len(self._in_hand) < self._most_in_hand):
            await self._apply(self._in_hand.popleft())
        await self._closer.close_due(self._member)
        if time.monotonic() >= self._look_due:
            self._look_due = time.monotonic() + _LOOK_SECONDS
            await self._look()
        if 0 < taken < self._settings.inline_points and not self._in_hand:
            # Nobody waits for a point: a few more in a turn are fewer turns.
            await self._waiting.rest(_GATHER_SECONDS)

    async def _take(self) -> int:
        """Have the next messages parsed; how many there are."""
        owned = self._member.owned
        # While the group is rebalanced this takes as long as that does.
        given = await self._waiting.unless_stopped(
            self._member.client.getmany(
                *owned,
                timeout_ms=0 if self._in_hand else _WAIT_MS,
                max_records=self._settings.batch_points,
            )
        )
        for place, records in given.items():
            # Of partitions that came a moment ago: from where to read them is not known yet.
            if place in owned:
                self._begin(place, records)
        return sum(map(len, given.values()))

    def _begin(self, place: TopicPartition, records: list[ConsumerRecord]) -> None:
        owned = self._member.owned[place]
        if records[0].offset < owned.asked:
            owned = self._member.begin_anew(place, records[0].offset)
        owned.asked = records[-1].offset + 1
        now_ms = int(time.time() * 1000)
        batch = Batch(
            [it.key for it in records],
            [it.value for it in records],
            [it.offset for it in records],
            # A message without a time of its own (-1) is as old as its arrival here.
            [(it.timestamp if it.timestamp >= 0 else now_ms) * 1000 for it in records],
        )
        parsing = asyncio.create_task(self._parse(batch))
        reading = Reading(records, self._group)
        self._in_hand.append(_InHand(owned, owned.asked, parsing, reading))

    async def _parse(self, batch: Batch) -> Parsed:
        if len(batch) <= self._settings.inline_points:
            return parse(batch)
        return await self._pool.run(parse, batch)

    async def _apply(self, it: _InHand) -> None:
        parsed = await self._waiting.patiently(it.parsing)
        it.reading.end()
        owned = it.owned
        if self._member.owned.get(owned.place) is not owned:
            return  # another's by now, or read again
        owned.origins.note(it.reading)
        before = owned.partition.watermark
        owned.partition.take(parsed, it.end, int(time.time() * _MICROSECONDS))
        if owned.partition.watermark > before:
            owned.moved = time.monotonic()
        self._member.consumed(owned.place.topic, len(parsed.stamp) + len(parsed.unreadable))

    def _make_room(self) -> None:
        running, waiting = list[Holding[Owned]](), list[Holding[Owned]]()
        for it in self._member.owned.values():
            if it.waiting is None:
                running.append(Holding(it, it.partition.size, it.partition.reached))
            else:
                waiting.append(Holding(it, it.waiting, it.partition.reached))
        verdict = judge(running, waiting, self._settings.held_bytes)
        for it in verdict.put_back:
            self._member.put_back(it)
        for it in verdict.go_on:
            self._member.go_on(it)
        if verdict.put_back and self._trouble.worth_logging("partitions_wait"):
            log.warning(
                "partitions_wait",
                partitions=len(verdict.put_back),
                meaning="the points of open windows do not all fit into CPU_WRITER_HELD_MEBIBYTES",
            )
        standing = next((it for it in self._member.owned.values() if it.waiting is None), None)
        self._stand_still(standing if verdict.full else None)

    def _stand_still(self, owned: Owned | None) -> None:
        """Read no more of a partition whose windows are too large, and say so."""
        before, self._standing = self._standing, owned
        if before is not owned and before and self._member.owned.get(before.place) is before:
            self._member.client.resume(before.place)
        if owned is None:
            return
        if before is not owned:
            self._member.client.pause(owned.place)
        if self._trouble.worth_logging("windows_do_not_fit"):
            log.error(
                "windows_do_not_fit",
                partition=owned.place.partition,
                held_bytes=owned.partition.size,
                remedy="raise CPU_WRITER_HELD_MEBIBYTES and the memory limit; nothing is lost",
            )

    async def _look(self) -> None:
        await self._close_idle()
        if time.monotonic() >= self._commit_due:
            self._commit_due = time.monotonic() + self._settings.commit_seconds
            await self._member.commit(self._member.owned.values())
        self._member.measure()
        self._pool.rest(self._settings.rest_seconds)

    async def _close_idle(self) -> None:
        """Close by the clock what is over in partitions of which everything has been read."""
        settings, member = self._settings, self._member
        behind = (settings.grace_seconds + settings.idle_seconds) * _MICROSECONDS
        until = int(time.time() * _MICROSECONDS) - behind
        quiet = [it for it in member.owned.values() if self._is_quiet(it, until)]
        if not quiet:
            return
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                ends = await member.client.end_offsets([it.place for it in quiet])
                at = {it: await member.client.position(it.place) for it in quiet}
        except (KafkaError, TimeoutError) as error:
            # What nobody can be asked about may have points that are still to come.
            log.debug("ends_unknown", error=f"{type(error).__name__}: {error}")
            return
        for it in quiet:
            if at[it] >= ends[it.place] and member.owned.get(it.place) is it:
                it.partition.close_by_clock(until)
        await self._closer.close_due(member)

    def _is_quiet(self, it: Owned, until: int) -> bool:
        end = it.partition.oldest_end()
        return (
            end is not None
            and end <= until
            and it.waiting is None
            and time.monotonic() - it.moved >= self._settings.idle_seconds
            and all(other.owned is not it for other in self._in_hand)
        )

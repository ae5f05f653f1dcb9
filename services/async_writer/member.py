"""One session of a client in its consumer group: what it is given, has committed, and loses.

aiokafka calls the listener from a task of its own, in the middle of whatever the others do. No lock
is shared with it: the client gives nothing before a rebalance is over, and whoever held the lock
meanwhile would wait for ever. The listener says that partitions go (`leaving`), gives the batch in
hand some time, commits what is done, and from then on (`losses`) nothing taken before counts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from services.async_writer.offsets import Offsets, place_of
from services.shared.kafka import asynchronous
from services.shared.kafka.consumer_metrics import ConsumerMetrics
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)

_ANSWER_SECONDS = 3.0
"""For brokers; where partitions go, whatever is left of the hand-over if that is more: what is not
committed by then is written again."""
_LEAVE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages (ConsumerRecord) of one assignment, by partition in the order of their offsets."""

    messages: Sequence[Any]
    losses: int


class Member(ConsumerRebalanceListener):
    """A client's place in its group, from join() to close(). For one event loop."""

    def __init__(
        self,
        client: AIOKafkaConsumer,
        metrics: ConsumerMetrics,
        *,
        handover_seconds: float,
        joined: asyncio.Event,
    ) -> None:
        """`joined` is set once the group has given it a place, be it without partitions."""
        self.client = client
        self._metrics = metrics
        self._handover_seconds = handover_seconds
        self._offsets = Offsets()
        self._committing: asyncio.Task[None] | None = None
        self._taken: dict[TopicPartition, int] = {}
        self._free = asyncio.Event()
        self._free.set()
        self._leaving = False
        self._losses = 0
        self._joined = joined

    def join(self, topics: Sequence[str]) -> None:
        """Ask the group for partitions of `topics`; the client has been started."""
        self.client.subscribe(topics, listener=self)

    def owns(self, batch: Batch) -> bool:
        """Whether it is worth while to go on with a batch that waits for something."""
        return not self._leaving and batch.losses == self._losses

    async def take(self, most: int, gather_seconds: float, wait_seconds: float) -> Batch | None:
        """The next messages, at most `most`; None when none came within `wait_seconds`.

        What it gives is in hand until release(). While the group is rebalanced it waits until that
        is over. Raises KafkaError when the client is of no use any more.
        """
        found = _flat(
            await self.client.getmany(timeout_ms=int(wait_seconds * 1000), max_records=most)
        )
        # Nothing is awaited between the client's giving and this, so this is the assignment that
        # the messages are of.
        losses = self._losses
        if found and len(found) < most and gather_seconds:
            await asyncio.sleep(gather_seconds)
            if self._leaving or losses != self._losses:
                return None  # not committed, so another member gets them
            found += _flat(await self.client.getmany(max_records=most - len(found)))
        if not found:
            return None
        self._free.clear()
        self._taken |= {place_of(message): message.offset + 1 for message in found}
        return Batch(found, losses)

    def release(self, batch: Batch, done: Iterable[Any]) -> None:
        """Have nothing in hand any more; commit those messages of `batch` that are `done`."""
        if batch.losses == self._losses:
            self._offsets.done(done)
        self._free.set()
        self.commit_soon()

    def commit_soon(self) -> None:
        """Commit what is done, beside whatever comes next; a failure is only logged."""
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit())

    def pause(self) -> None:
        """Have nothing fetched, whatever partitions are assigned; a new assignment ends it."""
        with suppress(KafkaError):
            self.client.pause(*self.client.assignment())

    def resume(self) -> None:
        with suppress(KafkaError):
            self.client.resume(*self.client.paused())

    def measure_lag(self) -> None:
        """Refresh the gauge of how far behind the end each partition is."""
        for place in self.client.assignment():
            # The broker sends the end of a partition with every fetch: this asks nobody.
            end, at = self.client.highwater(place), self._taken.get(place)
            if end is not None and at is not None:
                gauge = self._metrics.lag.labels(place.topic, str(place.partition))
                gauge.set(max(0, end - at))

    async def unread(self) -> dict[tuple[str, int], int]:
        """Where this member stands in those of its partitions that go on behind that place.

        As the brokers say. Raises KafkaError or TimeoutError when they say nothing.
        """
        places = self.client.assignment()
        async with asyncio.timeout(_ANSWER_SECONDS):
            ends = await self.client.end_offsets(list(places)) if places else {}
            found = {place: await self.client.position(place) for place in ends}
        return {
            (place.topic, place.partition): at
            for place, at in found.items()
            if at < ends[place] and self._free.is_set()
        }

    async def close(self) -> None:
        """Commit what is done and leave the group."""
        await self._commit_rest(time.monotonic() + self._handover_seconds)
        await asynchronous.stop(self.client, _LEAVE_SECONDS)
        self._metrics.assigned.set(0)
        self._metrics.lag.clear()

    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, revoked: Iterable[TopicPartition]
    ) -> None:
        """Called before every rebalance, while heartbeats go on. All partitions go, or none."""
        gone = len(set(revoked))
        self._leaving = True
        try:
            if gone:
                await self._hand_over()
        finally:
            self._losses += 1
            self._leaving = False
            self._offsets.clear()
            self._taken.clear()
            self._metrics.lag.clear()
            self._metrics.assigned.set(0)
        if gone:
            self._metrics.rebalances.labels("revoked").inc()
            log.info("partitions_revoked", partitions=gone)

    async def on_partitions_assigned(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, assigned: Iterable[TopicPartition]
    ) -> None:
        got = len(set(assigned))
        self._metrics.rebalances.labels("assigned").inc()
        self._metrics.assigned.set(got)
        self._joined.set()
        log.info("partitions_assigned", partitions=got)

    async def _hand_over(self) -> None:
        until = time.monotonic() + self._handover_seconds
        try:
            async with asyncio.timeout(self._handover_seconds):
                await self._free.wait()
        except TimeoutError:
            # Who gets the partitions writes the batch again, which changes nothing.
            log.warning("batch_not_handed_over", seconds=self._handover_seconds)
        await self._commit_rest(until)

    async def _commit_rest(self, until: float) -> None:
        """until: monotonic seconds."""
        if self._committing is not None:
            # Longer than its own deadline: what it puts back then is to be committed here.
            await asyncio.wait({self._committing}, timeout=_ANSWER_SECONDS + 1)
        await self._commit(max(_ANSWER_SECONDS, until - time.monotonic()))

    async def _commit(self, seconds: float | None = None) -> None:
        while offsets := self._offsets.take(self.client.assignment()):
            losses = self._losses
            try:
                # Without a deadline it would look for its coordinator for as long as it takes.
                async with asyncio.timeout(seconds or _ANSWER_SECONDS):
                    await self.client.commit(dict(offsets))
            except (KafkaError, TimeoutError) as error:
                self._metrics.commit_failures.inc()
                log.warning("offset_commit_failed", error=f"{type(error).__name__}: {error}")
                if losses == self._losses:
                    self._offsets.failed(offsets)
                return


def _flat(found: dict[TopicPartition, list[Any]]) -> list[Any]:
    return [message for messages in found.values() for message in messages]

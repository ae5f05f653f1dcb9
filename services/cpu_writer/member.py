"""One session of a client in its consumer group: which partitions are ours, and how far each is.

Only what a partition's owner knows is kept here, and goes when the partition goes: the committed
offset and its metadata bring it back, to this member or another.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from services.cpu_writer.metrics import WriterMetrics
from services.cpu_writer.progress import Progress, UnknownMetadataError, resumed
from services.cpu_writer.traced import Origins
from services.cpu_writer.windows import Partition, Rule
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)

_ANSWER_SECONDS = 10.0


@dataclass(eq=False, slots=True)
class Owned:
    """A partition of this member.

    asked: the offset behind the last message that was taken from the client. moved: when (monotonic
    seconds) its watermark did last. waiting: bytes that it held when it was put back, while it
    waits for others.
    """

    place: TopicPartition
    committed: Progress
    partition: Partition
    asked: int
    moved: float = field(default_factory=time.monotonic)
    waiting: int | None = None
    origins: Origins = field(default_factory=Origins)


class Member(ConsumerRebalanceListener):
    """A client's place in its group, as the client tells it (ConsumerRebalanceListener)."""

    def __init__(
        self,
        client: AIOKafkaConsumer,
        rule: Rule,
        metrics: WriterMetrics,
        *,
        handover_seconds: float,
        joined: asyncio.Event,
    ) -> None:
        """`joined` is set when the group gives this member its place."""
        self.client = client
        self.owned: dict[TopicPartition, Owned] = {}
        self._joined = joined
        self._placed = False
        self.writing = asyncio.Lock()
        """Held by who writes rollups until they are committed; not while waiting for messages."""
        self.losses = 0
        """How often partitions have gone; what was read before the last time is another's."""
        self._rule = rule
        self._metrics = metrics
        self._handover_seconds = handover_seconds

    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, revoked: Iterable[TopicPartition]
    ) -> None:
        """Give them away, as soon as no statement is on its way."""
        gone = list(revoked)
        self._placed = False
        self.losses += 1
        try:
            async with asyncio.timeout(self._handover_seconds):
                async with self.writing:
                    await self.commit(self.owned.values())
        except TimeoutError:
            # Harmless: only closed windows are written, and whoever reads them writes the same.
            log.warning("partitions_given_away_while_writing")
        self._let_go("revoked", gone)

    async def on_partitions_assigned(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, assigned: Iterable[TopicPartition]
    ) -> None:
        given = list(assigned)
        self._placed = True
        self._joined.set()
        self._metrics.consumer.rebalances.labels("assigned").inc()
        self._metrics.consumer.assigned.set(len(given))
        log.info("partitions_assigned", partitions=len(given))

    def close(self) -> None:
        """Forget everything: the client is no more."""
        self._placed = False
        self.losses += 1
        self._let_go("lost", list(self.owned))

    def _let_go(self, kind: str, gone: list[TopicPartition]) -> None:
        self.owned.clear()
        self._metrics.consumer.assigned.set(0)
        self._metrics.consumer.lag.clear()
        if gone:
            self._metrics.consumer.rebalances.labels(kind).inc()
            log.info(f"partitions_{kind}", partitions=len(gone))

    async def adopt(self) -> None:
        """Find out from where to read the partitions that have come. Raises KafkaError."""
        losses = self.losses
        new = [it for it in self.client.assignment() if it not in self.owned]
        if not new or not self._placed:
            return
        async with asyncio.timeout(_ANSWER_SECONDS):
            found = await self._committed(new)
            begin = await self.client.beginning_offsets([it for it in new if it not in found])
        if losses != self.losses:
            return
        for place in new:
            progress = found.get(place)
            if progress is None:
                at = begin[place]
                progress = Progress(at, at, 0, self._rule.window)
            self._begin(place, progress)

    async def _committed(self, places: list[TopicPartition]) -> dict[TopicPartition, Progress]:
        # consumer.committed() leaves out the metadata that came with the same answer.
        coordinator: Any = self.client._coordinator
        asked = await coordinator.fetch_committed_offsets(places)
        found: dict[TopicPartition, Progress] = {}
        for place, (offset, metadata) in asked.items():
            try:
                found[place] = resumed(offset, metadata or "", self._rule.window)
            except UnknownMetadataError as error:
                log.warning(
                    "offset_metadata_unknown",
                    partition=place.partition,
                    offset=offset,
                    reason=str(error),
                    meaning="read from the offset on as if nothing was closed before",
                )
                found[place] = resumed(offset, "", self._rule.window)
        return found

    def _begin(self, place: TopicPartition, progress: Progress) -> Owned:
        self.client.seek(place, progress.offset)
        owned = Owned(place, progress, Partition(self._rule, progress), progress.offset)
        self.owned[place] = owned
        return owned

    def put_back(self, owned: Owned) -> None:
        """Let go what it holds and read on no further: it is to wait for others."""
        size = owned.partition.size
        self.client.pause(owned.place)
        self._begin(owned.place, owned.committed).waiting = size

    def go_on(self, owned: Owned) -> None:
        """Read it again, from what is committed."""
        owned.waiting = None
        self.client.resume(owned.place)

    def begin_anew(self, place: TopicPartition, offset: int) -> Owned:
        """Take a partition for another one, with nothing known: its offsets went back."""
        log.warning("offsets_went_back", partition=place.partition, offset=offset)
        progress = Progress(offset, offset, 0, self._rule.window)
        owned = Owned(place, progress, Partition(self._rule, progress), offset)
        self.owned[place] = owned
        return owned

    async def commit(self, some: Iterable[Owned]) -> None:
        """Commit how far they have come, where that is news; a failure is only logged.

        What has windows that are due and not written is left as it is.
        """
        news: Mapping[Owned, Progress] = {
            it: progress
            for it in some
            if self.owned.get(it.place) is it
            and not it.partition.due()
            and (progress := it.partition.progress()) != it.committed
        }
        if not news:
            return
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self.client.commit(
                    {it.place: (at.offset, at.metadata()) for it, at in news.items()}
                )
        except (KafkaError, TimeoutError) as error:
            self._metrics.consumer.commit_failures.inc()
            log.warning("offset_commit_failed", error=f"{type(error).__name__}: {error}")
            return
        for it, progress in news.items():
            it.committed = progress
            self._metrics.left_out(it.partition.committed(progress))

    async def unread(self) -> dict[tuple[str, int], int]:
        """Where this member stands in those of its partitions that are read and go on behind that.

        As the brokers say. Raises KafkaError or TimeoutError when they say nothing.
        """
        paused = self.client.paused()
        places = [it for it in self.client.assignment() if it not in paused]
        async with asyncio.timeout(_ANSWER_SECONDS):
            ends = await self.client.end_offsets(places) if places else {}
            at = {place: await self.client.position(place) for place in ends}
        return {
            (place.topic, place.partition): at[place] for place in ends if at[place] < ends[place]
        }

    def consumed(self, topic: str, messages: int) -> None:
        """Count messages that were looked at."""
        self._metrics.consumer.consumed.labels(topic).inc(messages)

    def measure(self) -> None:
        """Refresh the gauges."""
        metrics, all_of_them = self._metrics, list(self.owned.values())
        metrics.open.set(sum(len(it.partition) for it in all_of_them))
        metrics.held.set(sum(it.partition.size for it in all_of_them))
        metrics.waiting.set(sum(it.waiting is not None for it in all_of_them))
        for it in all_of_them:
            end = self.client.highwater(it.place)  # came with the last fetch: this asks nobody
            if end is not None:
                gauge = metrics.consumer.lag.labels(it.place.topic, str(it.place.partition))
                gauge.set(max(0, end - it.partition.position))

"""The consumer's thread: take a batch, have it stored, then commit its offsets.

librdkafka calls the rebalance callbacks only from within poll and consume, and this thread calls
neither while a batch is being stored, so nothing is in flight when partitions are revoked. While a
server is away the partitions are paused and polling goes on, which keeps the group membership.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from services.contracts.envelope import EVENT_ID
from services.event_worker.dead_letters import DeadLetters
from services.event_worker.metrics import WorkerMetrics
from services.event_worker.processing import BadMessage, Processor
from services.event_worker.settings import GroupSettings, WorkerSettings
from services.event_worker.sizing import FittingSize
from services.shared.http.liveness import Heartbeat
from services.shared.kafka.clients import Config
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)

T = TypeVar("T")
_POLL_SECONDS = 0.5
_LONGEST_PAUSE = 5.0
_LOOK_SECONDS = 5.0
_DEAD_LETTER_SECONDS = 10.0
_LEAVE_SECONDS = 3.0
# A commit has no deadline of its own: this is what ends it when the broker does not answer.
_ANSWER_MS = 10_000


class _AbandonedError(Exception):
    """The batch is no longer ours, or the worker stops; somebody will get it again."""


class ConsumerLoop:
    """One member of the consumer group. run() blocks; call it in a thread of its own."""

    def __init__(
        self,
        config: Callable[[], Config],
        group: GroupSettings,
        settings: WorkerSettings,
        *,
        processor: Processor,
        dead_letters: DeadLetters,
        metrics: WorkerMetrics,
        heartbeat: Heartbeat,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._config = config
        self._group = group
        self._settings = settings
        self._processor = processor
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._heartbeat = heartbeat
        self._loop = loop
        self._stopping = threading.Event()
        self._pending: list[Message] = []
        self._carried: list[Message] = []
        self._uncommitted: dict[tuple[str, int], int] = {}
        self._losses = 0
        self._paused = False
        self._part = FittingSize(settings.batch_size)
        self._look_due = 0.0

    def stop(self) -> None:
        """Finish the batch that is being stored, commit it, and leave. Thread-safe."""
        self._stopping.set()

    def run(self) -> None:
        """Consume until stop(). A consumer that broke for good is replaced after a pause."""
        while not self._stopping.is_set():
            try:
                self._session()
            except Exception:  # whatever broke, uncommitted messages come again
                log.exception("consumer_broke")
                self._heartbeat.beat()
                self._stopping.wait(_LONGEST_PAUSE)

    def _session(self) -> None:
        self._paused = False
        self._carried.clear()
        self._uncommitted.clear()
        consumer = Consumer(
            self._config()
            | {
                "logger": logging.getLogger("librdkafka"),
                "error_cb": self._on_error,
                "socket.timeout.ms": _ANSWER_MS,
            }
        )
        try:
            consumer.subscribe(
                list(self._group.topics),
                on_assign=self._on_assign,
                on_revoke=self._on_revoke,
                on_lost=self._on_lost,
            )
            while not self._stopping.is_set():
                self._heartbeat.beat()
                self._pending = self._take(consumer)
                if self._pending:
                    try:
                        self._handle(consumer)
                    except _AbandonedError:
                        log.info("batch_abandoned", messages=len(self._pending))
                self._look_around(consumer)
            if self._group.leave_on_stop:
                self._leave(consumer)
        finally:
            consumer.close()

    def _leave(self, consumer: Consumer) -> None:
        # close() alone says nothing to the group in the name of a static member.
        consumer.unsubscribe()
        until = time.monotonic() + _LEAVE_SECONDS
        while consumer.assignment() and time.monotonic() < until:
            consumer.poll(0.1)  # what it may give is not committed, so another member gets it

    def _take(self, consumer: Consumer) -> list[Message]:
        if self._carried:
            taken, self._carried = self._carried, []
            return taken
        # consume() alone would wait its full time for a full batch; the first message must not.
        first = consumer.poll(_POLL_SECONDS)
        if first is None:
            return []
        losses = self._losses
        rest = consumer.consume(self._settings.batch_size - 1, self._settings.gather_seconds)
        # Partitions may have gone meanwhile: the first message is then another member's.
        taken = (first, *rest) if self._losses == losses else rest
        return [message for message in taken if self._is_data(message)]

    def _is_data(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.fatal():
            raise KafkaException(error)
        log.warning("kafka_consumer", error=error.str(), code=error.name())
        return False

    def _handle(self, consumer: Consumer) -> None:
        stored: list[Message] = []
        bad: list[BadMessage] = []
        losses = self._losses

        def store() -> None:
            part = self._pending[len(stored) : len(stored) + self._part.now]
            try:
                bad.extend(self._in_loop(self._processor.process(part)))
            except Exception:
                self._part.failed(len(part))
                raise
            self._part.succeeded()
            stored.extend(part)

        def bury() -> None:
            self._dead_letters.send(bad, _DEAD_LETTER_SECONDS)

        try:
            # More than once only after a failure: messages came in meanwhile, or a part failed.
            while len(stored) < len(self._pending):
                if stored:
                    if self._stopping.is_set():
                        break
                    self._stand_by(consumer, 0, losses)
                self._insist(consumer, store)
                if bad:
                    self._insist(consumer, bury)
                    self._buried(bad)
                    bad.clear()
        finally:
            self._resume(consumer)
        self._commit(consumer, stored)

    def _buried(self, letters: Iterable[BadMessage]) -> None:
        for letter in letters:
            message: Any = letter.message
            self._metrics.messages.labels(message.topic(), "dead_letter").inc()
            log.error(
                "dead_letter",
                topic=message.topic(),
                partition=message.partition(),
                offset=message.offset(),
                event_id=event_id_of(message),
                reason=letter.reason,
            )

    def _in_loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        while True:
            try:
                return future.result(timeout=1)
            except concurrent.futures.TimeoutError:
                if future.done():  # the coroutine's own TimeoutError
                    raise
                # Every statement has a timeout of its own: slow is not stuck.
                self._heartbeat.beat()

    def _insist(self, consumer: Consumer, action: Callable[[], None]) -> None:
        """Repeat `action` until it succeeds, polling paused partitions in between."""
        pause = 0.2
        losses = self._losses
        while True:
            try:
                action()
                return
            except Exception as error:  # any: nothing may be skipped, whatever the reason
                log.warning("batch_will_be_retried", error=f"{type(error).__name__}: {error}")
            self._metrics.retries.inc()
            self._stand_by(consumer, pause, losses)
            pause = min(_LONGEST_PAUSE, pause * 2)

    def _stand_by(self, consumer: Consumer, seconds: float, losses: int) -> None:
        """Poll paused partitions for `seconds` and once at least: it keeps the membership.

        Raises _AbandonedError when partitions go, or the worker stops.
        """
        self._pause(consumer)
        until = time.monotonic() + seconds
        while True:
            self._heartbeat.beat()
            if self._stopping.is_set():
                raise _AbandonedError
            left = until - time.monotonic()
            message = consumer.poll(max(0.0, min(0.2, left)))
            kept = [message] if message is not None and self._is_data(message) else []
            if self._losses != losses:
                # Not committed, so whoever owns the partitions now gets the batch. What this
                # poll returned belongs to the new assignment.
                self._carried += kept
                raise _AbandonedError
            # Paused partitions give nothing, but nothing that came may be dropped.
            self._pending += kept
            if left <= 0:
                return

    def _pause(self, consumer: Consumer) -> None:
        if not self._paused:
            consumer.pause(consumer.assignment())
            self._paused = True

    def _resume(self, consumer: Consumer) -> None:
        if self._paused:
            self._paused = False
            assigned = consumer.assignment()
            if assigned:
                consumer.resume(assigned)

    def _commit(self, consumer: Consumer, messages: Iterable[Message]) -> None:
        for place in next_offsets(messages):
            self._uncommitted[place.topic, place.partition] = place.offset
        if not self._uncommitted:
            return
        offsets = [TopicPartition(*place, at) for place, at in self._uncommitted.items()]
        try:
            done = consumer.commit(offsets=offsets, asynchronous=False) or []
        except KafkaException as error:
            self._commit_failed(error)
            return
        failed = {(place.topic, place.partition): place.error for place in done if place.error}
        # What failed goes along with the next commit, or with the last one before a rebalance.
        self._uncommitted = {k: at for k, at in self._uncommitted.items() if k in failed}
        if failed:
            self._commit_failed(next(iter(failed.values())))

    def _commit_failed(self, error: object) -> None:
        self._metrics.commit_failures.inc()
        log.warning("offset_commit_failed", error=str(error))

    def _look_around(self, consumer: Consumer) -> None:
        now = time.monotonic()
        if now < self._look_due:
            return
        self._look_due = now + _LOOK_SECONDS
        # What could not be committed must not wait for the next message: gaps.py goes by it.
        self._commit(consumer, ())
        self._measure_lag(consumer)

    def _measure_lag(self, consumer: Consumer) -> None:
        try:
            for place in consumer.position(consumer.assignment()):
                # The broker sends the end of a partition with every fetch: this asks nobody.
                _, end = consumer.get_watermark_offsets(place, cached=True) or (0, -1)
                if place.offset >= 0 and end >= 0:
                    gauge = self._metrics.lag.labels(place.topic, str(place.partition))
                    gauge.set(max(0, end - place.offset))
        except KafkaException as error:
            log.debug("lag_unknown", error=str(error))

    # Called from within poll and consume, in this thread.

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._metrics.rebalances.labels("assigned").inc()
        log.info("partitions_assigned", partitions=len(partitions))
        if self._paused:
            consumer.assign(partitions)
            if partitions:
                consumer.pause(partitions)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._commit(consumer, ())
        self._gone("revoked", partitions)

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._gone("lost", partitions)

    def _gone(self, kind: str, partitions: list[TopicPartition]) -> None:
        self._metrics.rebalances.labels(kind).inc()
        log.info(f"partitions_{kind}", partitions=len(partitions))
        self._metrics.lag.clear()
        # The range assignor revokes all or nothing.
        self._losses += 1
        self._carried.clear()
        self._uncommitted.clear()

    def _on_error(self, error: KafkaError) -> None:
        log.warning("kafka_client", error=error.str(), code=error.name(), fatal=error.fatal())


def event_id_of(message: Message) -> str | None:
    """The event id that a message claims to have, for the log."""
    value = dict(message.headers() or ()).get(EVENT_ID)
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    return text and text[:100]


def next_offsets(messages: Iterable[Message]) -> list[TopicPartition]:
    """The offsets to commit when `messages` are done: one past the last of each partition."""
    last: dict[tuple[str, int], int] = {}
    for message in messages:
        place = (str(message.topic()), int(message.partition() or 0))
        last[place] = max(int(message.offset() or 0) + 1, last.get(place, 0))
    return [TopicPartition(topic, partition, at) for (topic, partition), at in last.items()]

"""Sends batches to Kafka from one thread, with a delivery report for every event.

confluent-kafka's AIOProducer and produce_batch cannot carry headers, hence the thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from services.outbox_relay.metrics import RelayMetrics
from services.outbox_relay.outcomes import Answer, OutboxEvent, Place, Result
from services.outbox_relay.sick import Leaders
from services.outbox_relay.traced import SendSpans
from services.shared.kafka.client_log import with_log
from services.shared.kafka.clients import (
    Config,
    is_environment,
    is_permanent,
    is_producer_lost,
    is_topic,
)
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)

_NOT_SENT = Result(Answer.NOT_SENT)
# Long enough to be cheap, short enough that a failed send is acted upon at once.
_SLICE = 0.1


class Publisher:
    """One producer, used by one thread, replaced when its idempotent session is lost.

    `config` is called for every new producer, so that it reads the password afresh.
    """

    def __init__(
        self,
        config: Callable[[], Config],
        metrics: RelayMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._metrics = metrics
        self._clock = clock
        self._producer: Producer | None = None
        self._lost = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="publisher")

    async def publish(
        self, batch: Sequence[OutboxEvent], *, enqueue_until: float, settle_until: float
    ) -> list[Result]:
        """Send `batch` in its order and return an answer for every event, in the same order.

        Nothing is handed to the client after `enqueue_until`, nothing is waited for after
        `settle_until` (monotonic seconds). Never raises for a message or the cluster.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._thread, self._publish, batch, enqueue_until, settle_until
        )

    async def leaders(self, seconds: float = 1.0) -> Leaders | None:
        """Which partitions have a leader, None when the cluster does not answer at all.

        Costs no event an attempt.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._leaders, seconds
        )

    async def close(self) -> None:
        """Drop the producer; what it still held was never reported as acknowledged."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._discard)
        self._thread.shutdown(wait=False)

    # Everything below runs in the one thread.

    def _open(self) -> Producer:
        if self._lost:
            self._discard()
        if self._producer is None:
            self._producer = Producer(with_log(self._config(), self._on_lost))
            self._metrics.producers.inc()
        return self._producer

    def _discard(self) -> None:
        self._lost = False
        if self._producer is not None:
            self._producer.purge(in_queue=True, in_flight=True, blocking=False)
            self._producer.flush(0)
            self._producer = None

    def _on_lost(self) -> None:
        self._lost = True

    def _leaders(self, seconds: float) -> Leaders | None:
        try:
            topics = self._open().list_topics(timeout=seconds).topics
        except Exception:  # whatever the reason, there is no answer
            return None
        return {
            name: [topic.partitions[n].leader >= 0 for n in sorted(topic.partitions)]
            for name, topic in topics.items()
        }

    def _publish(
        self, batch: Sequence[OutboxEvent], enqueue_until: float, settle_until: float
    ) -> list[Result]:
        try:
            producer = self._open()
        except Exception as error:  # an unreadable password or CA file
            log.error("producer_not_created", error=f"{type(error).__name__}: {error}")
            return [Result(Answer.ENVIRONMENT, str(error))] * len(batch)
        sending = _Sending(batch)
        self._enqueue(producer, sending, enqueue_until)
        purged = False
        while sending.outstanding:
            left = settle_until - self._clock()
            if left <= 0 or (sending.broken and not purged):
                # What is still queued must not overtake the event that failed, nor the lease.
                producer.purge(in_queue=True, in_flight=left <= 0, blocking=False)
                purged = True
            if left <= -1:
                break
            producer.flush(max(0.001, min(_SLICE, left)) if left > 0 else _SLICE)
        if sending.lost:
            self._lost = True
        return sending.finish()

    def _enqueue(self, producer: Producer, sending: _Sending, enqueue_until: float) -> None:
        for index, item in enumerate(sending.batch):
            if item.key in sending.refused:
                continue
            # Asked again for every event: a process that was stopped in here may wake up long
            # after its lease has passed to another.
            while not sending.broken and self._clock() < enqueue_until:
                if self._produce(producer, sending, index):
                    break
                producer.poll(_SLICE)  # the client's queue is full
            if index % 100 == 99:
                producer.poll(0)

    def _produce(self, producer: Producer, sending: _Sending, index: int) -> bool:
        item = sending.batch[index]
        event = item.event
        try:
            producer.produce(
                event.type,
                key=event.aggregate_id.encode(),
                value=event.payload.encode(),
                headers=sending.spans.begin(index, item).headers(),
                on_delivery=sending.on_delivery(index),
            )
        except BufferError:
            return False
        except KafkaException as error:
            sending.spans.end(index, error.args[0])
            sending.refuse(index, error.args[0])
        except (TypeError, ValueError) as error:
            sending.results[index] = Result(Answer.PERMANENT, f"cannot be sent: {error}")
            sending.refused.add(item.key)
        else:
            sending.outstanding += 1
        return True


class _Sending:
    """The answers to one batch as they come in."""

    def __init__(self, batch: Sequence[OutboxEvent]) -> None:
        self.batch = batch
        self.results: list[Result | None] = [None] * len(batch)
        self.outstanding = 0
        self.refused: set[str] = set()
        self.broken = False
        """A send failed because of the cluster: nothing more may go out behind it."""
        self.lost = False
        self.spans = SendSpans()

    def on_delivery(self, index: int) -> Callable[[KafkaError | None, Message], None]:
        def report(error: KafkaError | None, message: Message) -> None:
            self.outstanding -= 1
            self.spans.end(index, error, message)
            if error is None:
                self.results[index] = Result(Answer.ACKED)
            else:
                self.refuse(index, error, _place(error, message))

        return report

    def refuse(self, index: int, error: KafkaError, place: Place | None = None) -> None:
        reason = f"{error.name()}: {error.str()}"
        if is_producer_lost(error):
            self.lost = True
        if error.code() == KafkaError._PURGE_QUEUE:
            self.results[index] = _NOT_SENT
        elif is_environment(error) or is_producer_lost(error):
            self.results[index] = Result(Answer.ENVIRONMENT, reason, place)
            self.broken = True
        else:
            if is_topic(error):
                answer = Answer.TOPIC
            else:
                answer = Answer.PERMANENT if is_permanent(error) else Answer.REFUSED
            self.results[index] = Result(answer, reason)
            self.refused.add(self.batch[index].key)

    def finish(self) -> list[Result]:
        # Handed over but never answered: it may have arrived.
        sent = Result(Answer.ENVIRONMENT, "no answer in time") if self.outstanding else _NOT_SENT
        self.spans.give_up()
        return [result or sent for result in self.results]


def _place(error: KafkaError, message: Message) -> Place | None:
    topic, partition = message.topic(), message.partition()
    # Negative: no partition was chosen yet. A lost producer says nothing about any.
    if is_producer_lost(error) or topic is None or partition is None or partition < 0:
        return None
    return Place(topic, partition)

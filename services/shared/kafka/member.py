"""One session of a client in its consumer group: what it is given, has committed, and loses.

For one thread: librdkafka calls the rebalance callbacks only from within poll and consume.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from services.shared.kafka.client_log import with_log
from services.shared.kafka.clients import Config, is_client_lost
from services.shared.kafka.consumer_metrics import ConsumerMetrics
from services.shared.runtime.logging import get_logger

log = get_logger(__name__)

_POLL_SECONDS = 0.5
_LEAVE_SECONDS = 3.0
_LOOK_SECONDS = 2.0
# A commit has no deadline of its own: this is what ends it when the broker does not answer.
_ANSWER_MS = 10_000


def client(config: Config, on_lost: Callable[[], None]) -> Consumer:
    """A consuming client that logs where the service does."""
    return Consumer(with_log(config, on_lost) | {"socket.timeout.ms": _ANSWER_MS})


class ClientLostError(Exception):
    """The client does nothing any more, or will never be let in: only a new one helps."""


class Member:
    """A client's place in its group, from join() to close().

    `client` is called with what takes the news that the client is lost.
    """

    def __init__(
        self, client: Callable[[Callable[[], None]], Consumer], metrics: ConsumerMetrics
    ) -> None:
        self._lost = False
        self._client = client(self._on_client_lost)
        self._metrics = metrics
        self._carried: list[Message] = []
        self._uncommitted: dict[tuple[str, int], int] = {}
        self._paused = False
        self.losses = 0
        """How often partitions have gone; a message from before the last time is another's."""

    def join(self, topics: Sequence[str]) -> None:
        """Ask the group for partitions of `topics`; they come with a later poll."""
        self._client.subscribe(
            list(topics),
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def leave(self) -> None:
        """Give the partitions to the others now; close() says nothing for a static member."""
        self._client.unsubscribe()
        until = time.monotonic() + _LEAVE_SECONDS
        while self._client.assignment() and time.monotonic() < until:
            self._client.poll(0.1)  # what it may give is not committed, so another member gets it

    def close(self) -> None:
        self._client.close()

    def take(self, most: int, gather_seconds: float) -> list[Message]:
        """The next messages, at most `most`; none when none came within half a second.

        Raises ClientLostError, as poll() does.
        """
        if self._carried:
            taken, self._carried = self._carried, []
            return taken
        # consume() alone would wait its full time for a full batch; the first message must not.
        first = self.poll(_POLL_SECONDS)
        if not first:
            return []
        losses = self.losses
        rest = self._client.consume(most - 1, gather_seconds)
        # Partitions may have gone meanwhile: the first message is then another member's.
        kept = first if self.losses == losses else []
        return kept + [message for message in rest if _is_data(message)]

    def poll(self, seconds: float) -> list[Message]:
        """At most one message, waiting at most `seconds`; keeps the membership.

        Raises ClientLostError.
        """
        message = self._client.poll(seconds)
        if self._lost:
            raise ClientLostError("the broker refused it; its password may have changed")
        return [message] if message is not None and _is_data(message) else []

    def carry(self, messages: Iterable[Message]) -> None:
        """Let the next take() give `messages`, unless their partitions go before."""
        self._carried += messages

    def pause(self) -> None:
        """Be given no messages, whatever partitions are assigned."""
        if not self._paused:
            self._client.pause(self._client.assignment())
            self._paused = True

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            assigned = self._client.assignment()
            if assigned:
                self._client.resume(assigned)

    def commit(self, messages: Iterable[Message] = ()) -> None:
        """Commit `messages`, and what could not be committed before; a failure is only logged."""
        for place in next_offsets(messages):
            self._uncommitted[place.topic, place.partition] = place.offset
        if not self._uncommitted:
            return
        offsets = [TopicPartition(*place, at) for place, at in self._uncommitted.items()]
        try:
            done = self._client.commit(offsets=offsets, asynchronous=False) or []
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

    def measure_lag(self) -> None:
        """Refresh the gauge of how far behind the end each partition is."""
        try:
            for place in self._client.position(self._client.assignment()):
                # The broker sends the end of a partition with every fetch: this asks nobody.
                _, end = self._client.get_watermark_offsets(place, cached=True) or (0, -1)
                if place.offset >= 0 and end >= 0:
                    gauge = self._metrics.lag.labels(place.topic, str(place.partition))
                    gauge.set(max(0, end - place.offset))
        except KafkaException as error:
            log.debug("lag_unknown", error=str(error))

    def unread(self) -> dict[tuple[str, int], int]:
        """Where this member stands in those of its partitions that go on behind that place.

        As the broker says, which the client's own view may differ from. Empty when it says nothing.
        """
        found: dict[tuple[str, int], int] = {}
        try:
            places = self._client.position(self._client.assignment())
            committed = self._client.committed(places, timeout=_LOOK_SECONDS) if places else []
            for place, stored in zip(places, committed, strict=True):
                low, end = self._client.get_watermark_offsets(place, timeout=_LOOK_SECONDS) or (
                    0,
                    0,
                )
                # Negative: it has had no message yet, or has never committed.
                at = max(place.offset if place.offset >= 0 else stored.offset, low)
                if at < end:
                    found[place.topic, place.partition] = at
        except KafkaException as error:
            log.debug("unread_unknown", error=str(error))
            return {}
        return found

    def _on_client_lost(self) -> None:
        self._lost = True

    def _on_assign(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        self._metrics.rebalances.labels("assigned").inc()
        log.info("partitions_assigned", partitions=len(partitions))
        self._metrics.assigned.set(len(partitions))
        client.assign(partitions)
        if partitions:
            # A pause outlasts the assignment it was for: partitions that were lost while paused
            # come back paused (librdkafka, confluentinc/librdkafka#5113).
            (client.pause if self._paused else client.resume)(partitions)

    def _on_revoke(self, _client: Consumer, partitions: list[TopicPartition]) -> None:
        self.commit()
        self._gone("revoked", partitions)

    def _on_lost(self, _client: Consumer, partitions: list[TopicPartition]) -> None:
        self._gone("lost", partitions)

    def _gone(self, kind: str, partitions: list[TopicPartition]) -> None:
        self._metrics.rebalances.labels(kind).inc()
        log.info(f"partitions_{kind}", partitions=len(partitions))
        self._metrics.lag.clear()
        self._metrics.assigned.set(0)
        # The range assignor revokes all or nothing.
        self.losses += 1
        self._carried.clear()
        self._uncommitted.clear()


def next_offsets(messages: Iterable[Message]) -> list[TopicPartition]:
    """The offsets to commit when `messages` are done: one past the last of each partition."""
    last: dict[tuple[str, int], int] = {}
    for message in messages:
        place = (str(message.topic()), int(message.partition() or 0))
        last[place] = max(int(message.offset() or 0) + 1, last.get(place, 0))
    return [TopicPartition(topic, partition, at) for (topic, partition), at in last.items()]


def _is_data(message: Message) -> bool:
    error = message.error()
    if error is None:
        return True
    if is_client_lost(error):
        raise ClientLostError(f"{error.name()}: {error.str()}")
    log.warning("kafka_consumer", error=error.str(), code=error.name())
    return False

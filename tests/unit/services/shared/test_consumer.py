"""What the consumer's thread does between two calls of Kafka's client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
import structlog
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from prometheus_client import CollectorRegistry

from services.contracts.topics import RESOURCE_CREATED
from services.shared.kafka.consumer import ConsumerLoop
from services.shared.kafka.consumer_metrics import ConsumerMetrics
from services.shared.kafka.dead_letters import BadMessage, tell
from services.shared.kafka.group import BatchSettings
from services.shared.kafka.member import ClientLostError, Member, next_offsets


class Message:
    def __init__(
        self, offset: int, headers: list[tuple[str, bytes]] | None = None, partition: int = 3
    ) -> None:
        self._offset = offset
        self._headers = headers
        self._partition = partition

    def topic(self) -> str:
        return RESOURCE_CREATED

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self._headers

    def error(self) -> KafkaError | None:
        return None


class Failure(Message):
    """What the client hands out in place of a message."""

    def __init__(self, error: KafkaError) -> None:
        super().__init__(0)
        self._error = error

    def error(self) -> KafkaError:
        return self._error


class Client:
    """A consumer whose group and broker behave as the test says."""

    def __init__(self) -> None:
        self.committed: list[dict[tuple[str, int], int]] = []
        self.refusals = 0
        self.resumed = 0
        self.revoke_while_consuming = False

    def subscribe(
        self,
        _topics: list[str],
        *,
        on_assign: Callable[..., None],
        on_revoke: Callable[..., None],
        on_lost: Callable[..., None],
    ) -> None:
        self.on_assign, self.on_revoke, self.on_lost = on_assign, on_revoke, on_lost

    def poll(self, _seconds: float) -> Message | None:
        return Message(1)

    def consume(self, _number: int, _seconds: float) -> list[Message]:
        if self.revoke_while_consuming:
            self.on_revoke(self, [TopicPartition(RESOURCE_CREATED, 3)])
        return [Message(7)]

    def assignment(self) -> list[TopicPartition]:
        return []

    def assign(self, _partitions: list[TopicPartition]) -> None:
        pass

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.resumed += len(partitions)

    def position(self, _partitions: list[TopicPartition]) -> list[TopicPartition]:
        return []

    def pause(self, _partitions: list[TopicPartition]) -> None:
        self.poll = lambda _seconds: None

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        assert not asynchronous
        if self.refusals:
            self.refusals -= 1
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        self.committed.append({(p.topic, p.partition): p.offset for p in offsets})
        return offsets


class Database:
    """Stores at most `most` messages at a time; stops the consumer after `parts`."""

    def __init__(self, most: int, parts: int = 100) -> None:
        self.consumer: ConsumerLoop
        self.most = most
        self.parts = parts
        self.tried: list[int] = []

    async def handle(self, messages: Sequence[Any]) -> list[BadMessage]:
        self.tried.append(len(messages))
        if len(messages) > self.most:
            raise TimeoutError
        self.parts -= 1
        if not self.parts:
            self.consumer.stop()
        return []


class Beating:
    def beat(self) -> None:
        pass


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> ConsumerMetrics:
    return ConsumerMetrics(registry)


@pytest.fixture
def member(client: Client, metrics: ConsumerMetrics) -> Any:
    made = Member(lambda _on_lost: cast("Any", client), metrics)
    made.join([RESOURCE_CREATED])
    return made


def consumer_of(database: Database, metrics: ConsumerMetrics) -> Any:
    nothing = cast("Any", None)
    database.consumer = ConsumerLoop(
        dict,
        [RESOURCE_CREATED],
        BatchSettings(),
        handler=database.handle,
        dead_letters=nothing,
        metrics=metrics,
        heartbeat=cast("Any", Beating()),
        loop=nothing,
    )
    consumer: Any = database.consumer
    consumer._in_loop = asyncio.run
    return consumer


def test_offsets_that_could_not_be_committed_go_along_with_the_next_commit(
    client: Client, member: Any
) -> None:
    client.refusals = 1
    member.commit([Message(1), Message(4, partition=5)])
    member.commit([Message(2)])
    member.commit()
    assert client.committed == [{(RESOURCE_CREATED, 3): 3, (RESOURCE_CREATED, 5): 5}]


def test_offsets_that_could_not_be_committed_do_not_wait_for_the_next_message(
    client: Client, member: Any, metrics: ConsumerMetrics
) -> None:
    client.refusals = 1
    member.commit([Message(1)])
    client.poll = lambda _seconds: None
    consumer_of(Database(most=8), metrics)._turn(member)
    assert client.committed == [{(RESOURCE_CREATED, 3): 2}]


@pytest.mark.parametrize(
    ("parts", "tried", "committed"),
    [(100, [8, 4, 2, 2, 2, 2], 8), (1, [8, 4, 2], 2)],
    ids=["to the end", "until it is told to stop"],
)
def test_a_batch_that_cannot_be_stored_at_once_is_stored_in_parts_and_what_is_stored_committed(
    client: Client,
    member: Any,
    metrics: ConsumerMetrics,
    registry: CollectorRegistry,
    parts: int,
    tried: list[int],
    committed: int,
) -> None:
    database = Database(most=3, parts=parts)
    consumer = consumer_of(database, metrics)
    consumer._pending = [Message(offset) for offset in range(8)]
    consumer._handle(member)
    assert database.tried == tried
    assert client.committed == [{(RESOURCE_CREATED, 3): committed}]
    name, labels = "kafka_consumer_messages_consumed_total", {"topic": RESOURCE_CREATED}
    assert registry.get_sample_value(name, labels) == committed


def test_offsets_that_could_not_be_committed_are_tried_once_more_before_partitions_go(
    client: Client, member: Any
) -> None:
    client.refusals = 1
    member.commit([Message(1)])
    client.on_revoke(client, [])
    client.on_assign(client, [])
    client.on_revoke(client, [])
    assert client.committed == [{(RESOURCE_CREATED, 3): 2}]


def test_a_lost_partitions_offsets_are_not_committed_in_its_next_owners_name(
    client: Client, member: Any
) -> None:
    client.refusals = 1
    member.commit([Message(1)])
    client.on_lost(client, [])
    member.commit()
    assert client.committed == []


@pytest.mark.parametrize(("revoked", "offsets"), [(False, [1, 7]), (True, [7])])
def test_a_message_whose_partition_went_while_its_batch_was_filled_is_left_to_the_next_owner(
    client: Client, member: Any, revoked: bool, offsets: list[int]
) -> None:
    client.revoke_while_consuming = revoked
    assert [message.offset() for message in member.take(500, 0.01)] == offsets


@pytest.mark.parametrize("revoked", [False, True])
def test_a_client_that_broke_for_good_is_not_asked_again(
    client: Client, member: Any, revoked: bool
) -> None:
    """It says so once, where a message would be, and gives nothing ever after."""
    client.revoke_while_consuming = revoked
    client.poll = lambda _seconds: Failure(KafkaError(KafkaError._FATAL))
    with pytest.raises(ClientLostError):
        member.take(500, 0.01)


def test_partitions_that_were_lost_while_paused_do_not_come_back_paused(
    client: Client, member: Any
) -> None:
    """The client remembers a pause beyond the assignment that it was for."""
    places = [TopicPartition(RESOURCE_CREATED, 3)]
    member.pause()
    client.on_lost(client, places)
    member.resume()
    client.on_assign(client, places)
    assert client.resumed == 1


def test_the_offset_to_commit_is_one_past_the_last_of_each_partition() -> None:
    messages: Any = [Message(4, partition=0), Message(9, partition=1), Message(5, partition=0)]
    found = {(p.topic, p.partition): p.offset for p in next_offsets(messages)}
    assert found == {(RESOURCE_CREATED, 0): 6, (RESOURCE_CREATED, 1): 10}


def test_a_dead_letter_is_logged_with_its_place_and_event_id() -> None:
    with structlog.testing.capture_logs() as lines:
        tell(BadMessage(Message(9, [("event_id", b"\xffnot-an-id")]), "why"))
        tell(BadMessage(Message(10), ""))
    assert [(n["topic"], n["partition"], n["offset"], n["event_id"]) for n in lines] == [
        (RESOURCE_CREATED, 3, 9, "\ufffdnot-an-id"),
        (RESOURCE_CREATED, 3, 10, None),
    ]

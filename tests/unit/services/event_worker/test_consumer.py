"""What the consumer's thread does between two calls of Kafka's client."""

from __future__ import annotations

from typing import Any, cast

import pytest
import structlog
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from prometheus_client import CollectorRegistry

from services.event_worker.consumer import ConsumerLoop
from services.event_worker.metrics import WorkerMetrics
from services.event_worker.processing import BadMessage
from services.event_worker.settings import GroupSettings, WorkerSettings


class Message:
    def __init__(
        self, offset: int, headers: list[tuple[str, bytes]] | None = None, partition: int = 3
    ) -> None:
        self._offset = offset
        self._headers = headers
        self._partition = partition

    def topic(self) -> str:
        return "resource.created"

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self._headers

    def error(self) -> None:
        return None


class Client:
    """A consumer whose group and broker behave as the test says."""

    def __init__(self) -> None:
        self.committed: list[dict[tuple[str, int], int]] = []
        self.refusals = 0
        self.worker: Any = None
        self.revoke_while_consuming = False

    def poll(self, _seconds: float) -> Message:
        return Message(1)

    def consume(self, _number: int, _seconds: float) -> list[Message]:
        if self.revoke_while_consuming:
            self.worker._on_revoke(self, [TopicPartition("resource.created", 3)])
        return [Message(7)]

    def assignment(self) -> list[TopicPartition]:
        return []

    def position(self, _partitions: list[TopicPartition]) -> list[TopicPartition]:
        return []

    def pause(self, _partitions: list[TopicPartition]) -> None:
        self.poll = lambda _seconds: None  # pyright: ignore[reportAttributeAccessIssue]

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        assert not asynchronous
        if self.refusals:
            self.refusals -= 1
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        self.committed.append({(p.topic, p.partition): p.offset for p in offsets})
        return offsets


class Database:
    """Stores at most `most` messages at a time; stops the worker after `parts`."""

    def __init__(self, worker: ConsumerLoop, most: int, parts: int = 100) -> None:
        self.worker = worker
        self.most = most
        self.parts = parts
        self.tried: list[int] = []

    def process(self, messages: list[Message]) -> list[BadMessage]:
        self.tried.append(len(messages))
        if len(messages) > self.most:
            raise TimeoutError
        self.parts -= 1
        if not self.parts:
            self.worker.stop()
        return []


class Beating:
    def beat(self) -> None:
        pass


@pytest.fixture
def client() -> Client:
    made = Client()
    nothing = cast("Any", None)
    made.worker = ConsumerLoop(
        dict,
        GroupSettings(),
        WorkerSettings(),
        processor=nothing,
        dead_letters=nothing,
        metrics=WorkerMetrics(CollectorRegistry()),
        heartbeat=cast("Any", Beating()),
        loop=nothing,
    )
    return made


def test_offsets_that_could_not_be_committed_go_along_with_the_next_commit(client: Client) -> None:
    client.refusals = 1
    client.worker._commit(client, [Message(1), Message(4, partition=5)])
    client.worker._commit(client, [Message(2)])
    client.worker._commit(client, [])
    assert client.committed == [{("resource.created", 3): 3, ("resource.created", 5): 5}]


def test_offsets_that_could_not_be_committed_do_not_wait_for_the_next_message(
    client: Client,
) -> None:
    client.refusals = 1
    client.worker._commit(client, [Message(1)])
    client.worker._look_around(client)
    assert client.committed == [{("resource.created", 3): 2}]


@pytest.mark.parametrize(
    ("parts", "tried", "committed"),
    [(100, [8, 4, 2, 2, 2, 2], 8), (1, [8, 4, 2], 2)],
    ids=["to the end", "until it is told to stop"],
)
def test_a_batch_that_cannot_be_stored_at_once_is_stored_in_parts_and_what_is_stored_committed(
    client: Client, parts: int, tried: list[int], committed: int
) -> None:
    worker = client.worker
    worker._processor = database = Database(worker, most=3, parts=parts)
    worker._in_loop = lambda found: found
    worker._pending = [Message(offset) for offset in range(8)]
    worker._handle(client)
    assert database.tried == tried
    assert client.committed == [{("resource.created", 3): committed}]


def test_offsets_that_could_not_be_committed_are_tried_once_more_before_partitions_go(
    client: Client,
) -> None:
    client.refusals = 1
    client.worker._commit(client, [Message(1)])
    client.worker._on_revoke(client, [])
    client.worker._on_assign(client, [])
    client.worker._on_revoke(client, [])
    assert client.committed == [{("resource.created", 3): 2}]


def test_a_lost_partitions_offsets_are_not_committed_in_its_next_owners_name(
    client: Client,
) -> None:
    client.refusals = 1
    client.worker._commit(client, [Message(1)])
    client.worker._on_lost(client, [])
    client.worker._commit(client, [])
    assert client.committed == []


@pytest.mark.parametrize(("revoked", "offsets"), [(False, [1, 7]), (True, [7])])
def test_a_message_whose_partition_went_while_its_batch_was_filled_is_left_to_the_next_owner(
    client: Client, revoked: bool, offsets: list[int]
) -> None:
    client.revoke_while_consuming = revoked
    assert [message.offset() for message in client.worker._take(client)] == offsets


def test_a_dead_letter_is_logged_with_its_place_and_event_id(client: Client) -> None:
    message: Any = Message(9, [("event_id", b"\xffnot-an-id")])
    with structlog.testing.capture_logs() as lines:
        client.worker._buried(
            [BadMessage(message, "why"), BadMessage(cast("Any", Message(10)), "")]
        )
    assert [(n["topic"], n["partition"], n["offset"], n["event_id"]) for n in lines] == [
        ("resource.created", 3, 9, "\ufffdnot-an-id"),
        ("resource.created", 3, 10, None),
    ]

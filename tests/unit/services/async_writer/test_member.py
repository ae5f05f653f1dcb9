"""What a member does when partitions go in the middle of something."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError
from prometheus_client import CollectorRegistry

from services.async_writer import member as module
from services.async_writer.member import Batch, Member
from services.shared.kafka.consumer_metrics import ConsumerMetrics

PLACE = TopicPartition("t", 0)


def messages(*offsets: int) -> list[Any]:
    return [SimpleNamespace(topic="t", partition=0, offset=at) for at in offsets]


class Client:
    """Gives what it is told to, and notes what is committed."""

    def __init__(self, *given: list[Any]) -> None:
        self.given = list(given)
        self.committed: list[dict[TopicPartition, int]] = []
        self.refuses = 0
        self.takes = 0.0

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset({PLACE})

    async def getmany(self, **_limits: int) -> dict[TopicPartition, list[Any]]:
        return {PLACE: self.given.pop(0)} if self.given else {}

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        if self.refuses:
            self.refuses -= 1
            raise CommitFailedError
        await asyncio.sleep(self.takes)
        self.committed.append(offsets)


def member(client: Client, *, handover: float = 30) -> Member:
    metrics, joined = ConsumerMetrics(CollectorRegistry()), asyncio.Event()
    client_: Any = client
    return Member(client_, metrics, handover_seconds=handover, joined=joined)


async def taken(one: Member) -> Batch:
    batch = await one.take(10, 0, 1)
    assert batch is not None
    return batch


async def test_a_batch_in_hand_is_finished_and_committed_before_its_partitions_go():
    client = Client(messages(1, 2))
    one = member(client)
    batch = await taken(one)
    going = asyncio.create_task(one.on_partitions_revoked([PLACE]))
    await asyncio.sleep(0)
    assert not going.done()
    assert not one.owns(batch)
    one.release(batch, batch.messages)
    await going
    assert client.committed == [{PLACE: 3}]


async def test_a_batch_that_takes_too_long_is_not_committed_after_its_partitions_went():
    client = Client(messages(1, 2))
    one = member(client, handover=0)
    batch = await taken(one)
    await one.on_partitions_revoked([PLACE])
    one.release(batch, batch.messages)
    await one.on_partitions_revoked([PLACE])
    assert client.committed == []


async def test_what_was_gathered_while_partitions_went_is_dropped():
    client = Client(messages(1), messages(2))
    one = member(client)
    taking = asyncio.create_task(one.take(10, 0.05, 1))
    await asyncio.sleep(0)
    await asyncio.wait_for(one.on_partitions_revoked([PLACE]), 10)
    assert await taking is None
    # The client was not asked for more: that may be of the next assignment.
    assert len(client.given) == 1


async def test_what_comes_while_a_batch_is_gathered_is_of_the_batch():
    one = member(Client(messages(1), messages(2, 3)))
    batch = await one.take(10, 0.01, 1)
    assert batch is not None
    assert [message.offset for message in batch.messages] == [1, 2, 3]


async def test_a_commit_that_failed_goes_along_with_the_next():
    client = Client(messages(1), messages(2))
    client.refuses = 1
    one = member(client)
    batch = await taken(one)
    one.release(batch, batch.messages)
    while client.refuses:
        await asyncio.sleep(0)
    assert client.committed == []
    await one.on_partitions_revoked([PLACE])
    assert client.committed == [{PLACE: 2}]


async def test_brokers_have_what_is_left_of_the_hand_over_to_answer(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.01)
    client = Client(messages(1))
    client.takes = 0.1
    one = member(client)
    batch = await taken(one)
    going = asyncio.create_task(one.on_partitions_revoked([PLACE]))
    await asyncio.sleep(0)
    one.release(batch, batch.messages)
    await going
    assert client.committed == [{PLACE: 2}]


async def test_only_what_is_done_of_a_batch_is_committed():
    client = Client(messages(1, 2, 3))
    one = member(client)
    batch = await taken(one)
    one.release(batch, batch.messages[:2])
    await one.on_partitions_revoked([PLACE])
    assert client.committed == [{PLACE: 3}]

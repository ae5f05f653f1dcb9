"""What is given up as missing, and what is only late: the word of a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from confluent_kafka import Consumer, TopicPartition

from services.shared.inbox import consumed as consumed_module
from services.shared.inbox.consumed import Consumed, NoEvidenceError
from services.shared.kafka.clients import Config, consumer_config
from tests.integration.event_worker.conftest import UNHURRIED, StartWorker
from tests.integration.event_worker.messages import TYPES, Rows, Sender
from tests.integration.kafka_container import PARTITIONS, WORKER, KafkaServer
from tests.integration.processes import ServiceProcess
from tests.integration.servers import eventually

CREATED = TYPES["c"]
PATIENT = {"WORKER_GAP_DEADLINE_SECONDS": 3600}


class Idler:
    """A member of the group that owns partitions and never gets anything done."""

    def __init__(self, config: Config) -> None:
        self.consumer = Consumer(config)
        self.consumer.subscribe(list(TYPES.values()))

    async def partitions(self) -> list[int]:
        """The partitions it owns of each topic, as soon as there are some but not all."""
        while True:
            await asyncio.to_thread(self.consumer.poll, 0.1)
            found = {place.partition for place in self.consumer.assignment()}
            if 0 < len(found) < PARTITIONS:
                return sorted(found)

    def leave(self) -> None:
        self.consumer.close()


@pytest.fixture
def client_config(kafka_server: KafkaServer, group: str) -> Callable[[], Config]:
    """Of a client of the worker's group, with the worker's rights."""
    return lambda: consumer_config(
        kafka_server.settings(WORKER),
        "test",
        group_id=group,
        group_instance_id=None,
        session_timeout_ms=60_000,
    )


@pytest.fixture
async def idler(client_config: Callable[[], Config]) -> AsyncIterator[Idler]:
    made = Idler(client_config())
    yield made
    made.leave()


async def test_an_event_that_lies_unread_in_its_partition_is_not_missing_however_long_it_takes(
    start_worker: StartWorker, sender: Sender, rows: Rows, idler: Idler
) -> None:
    # Without its session it would be given other partitions than those that are looked at here.
    worker = start_worker(
        WORKER_GAP_DEADLINE_SECONDS=0.1, KAFKA_TOPICS=",".join(TYPES.values()), **UNHURRIED
    )
    unread = await asyncio.wait_for(idler.partitions(), 120)
    read = next(n for n in range(PARTITIONS) if n not in unread)
    for n in range(10):
        sender.resource(f"unread-{n}", "c", 1, partition=unread[0])
        sender.resource(f"unread-{n}", "u", 2, partition=read)
    sender.flush()
    await eventually(rows.reach(10, "inbox_held"))
    await eventually(lambda: waits_for(worker, f"{CREATED}/{unread[0]}"))
    assert await rows.count() == 0
    await eventually(lambda: all_are_overdue(worker, 10))
    idler.leave()
    await eventually(rows.reach(20))
    assert set(map(tuple, (await rows.versions()).values())) == {(1, 2)}
    assert await worker.metric("inbox_gaps_released_total") == 0


async def test_nothing_is_given_up_while_the_brokers_do_not_answer(
    start_worker: StartWorker, sender: Sender, rows: Rows, kafka: KafkaServer
) -> None:
    worker = start_worker(**PATIENT)
    sender.resource("silent", "u", 2)
    sender.flush()
    await eventually(rows.reach(1, "inbox_held"))
    kafka.container.stop()
    await rows.held_long_ago()
    await eventually(lambda: waits_for(worker, "the brokers do not answer"))
    assert await rows.count() == 0
    kafka.restart()
    await eventually(rows.reach(1))
    assert await rows.versions() == {"silent": [2]}


async def test_what_is_consumed_is_what_the_group_has_committed_or_the_topic_no_longer_keeps(
    client_config: Callable[[], Config], sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The worker, which looks again, takes silence for an answer; here every look has to find one.
    monkeypatch.setattr(consumed_module, "_ANSWER_SECONDS", 60.0)
    consumed = Consumed(client_config, [CREATED])
    before = await asyncio.to_thread(consumed.ends)
    assert len(before) == PARTITIONS
    assert await asyncio.to_thread(consumed.left, before) == {}
    for n in range(3):
        sender.resource(f"left-{n}", "c", 1, partition=4)
    sender.flush()
    ends = await asyncio.to_thread(consumed.ends)
    assert ends == before | {(CREATED, 4): before[CREATED, 4] + 3}
    assert await asyncio.to_thread(consumed.left, ends) == {(CREATED, 4): 3}
    assert await asyncio.to_thread(consumed.left, before) == {}, "what came later does not matter"
    committing = Consumer(client_config())
    for at, left in ((ends[CREATED, 4] - 1, {(CREATED, 4): 1}), (ends[CREATED, 4], {})):
        place = TopicPartition(CREATED, 4, at)
        await asyncio.to_thread(committing.commit, offsets=[place], asynchronous=False)
        assert await asyncio.to_thread(consumed.left, ends) == left
    committing.close()


async def test_a_topic_that_is_not_there_is_no_evidence(
    client_config: Callable[[], Config],
) -> None:
    with pytest.raises(NoEvidenceError):
        await asyncio.to_thread(Consumed(client_config, [CREATED, "resource.unknown"]).ends)


async def all_are_overdue(worker: ServiceProcess, events: float) -> bool:
    """As of the last look, which may be later than the one that first told of some."""
    return await worker.metric("inbox_held_events_overdue") == events


async def waits_for(worker: ServiceProcess, what: str) -> bool:
    """Whether the worker has said that it gives up no overdue gap, and why."""
    assert worker.running()
    return any(
        "overdue_gaps_wait" in line and what in line for line in worker.log.read_text().splitlines()
    )

"""Partitions that take nothing: their events wait, and nobody else's."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest
from confluent_kafka import murmur2

from services.contracts.topics import RESOURCE_CREATED
from tests.integration.containers import Containers
from tests.integration.kafka_container import PARTITIONS, TOPICS, KafkaServer, Reader
from tests.integration.outbox_relay.conftest import StartRelay
from tests.integration.outbox_relay.outbox import Outbox, complete, versions_by_key
from tests.integration.outbox_relay.second_broker import (
    LAME,
    LEADERLESS,
    THIN,
    SecondBroker,
)
from tests.integration.servers import Authority, eventually

WELL = RESOURCE_CREATED
SICK_PARTITIONS = len(LEADERLESS) + PARTITIONS


@pytest.fixture(scope="module")
def second_broker(containers: Containers, authority: Authority) -> SecondBroker:
    made = SecondBroker(containers, authority)
    made.set_up()
    return made


@pytest.fixture(scope="module")
def kafka_server(second_broker: SecondBroker) -> KafkaServer:
    """In place of the server that all other tests share."""
    return second_broker.server


@pytest.fixture
def lame_reader(kafka_server: KafkaServer) -> Iterator[Reader]:
    """Of all topics; made while every partition has a leader."""
    reader = kafka_server.reader([*TOPICS, LAME, THIN])
    yield reader
    reader.close()


async def test_thousands_of_events_for_sick_partitions_hold_up_no_others_and_go_when_they_are_back(
    outbox: Outbox, start_relay: StartRelay, lame_reader: Reader, second_broker: SecondBroker
) -> None:
    second_broker.kill()
    waiting, neighbours = keys_on("waits", (0, 1), 500), keys_on("near", (2, 3, 4, 5), 500)
    thin, others = [f"thin-{n}" for n in range(500)], [f"other-{n}" for n in range(500)]
    for _ in range(2):
        await outbox.write(*waiting, event_type=LAME)
        await outbox.write(*thin, event_type=THIN)
    await outbox.write(*neighbours, event_type=LAME)
    await outbox.write(*others, event_type=WELL)
    # These go to a healthy topic, and yet may not overtake the two of their key that wait.
    await outbox.write(*waiting[:25], *thin[:25], event_type=WELL)
    # Who gets no time for longer than its lease sends again, and that is counted.
    relay = start_relay(RELAY_LEASE_TTL_SECONDS=60)
    await eventually(lambda: unsent_is(outbox, 2050))
    await eventually(lambda: relay.metric_is("outbox_sick_partitions", SICK_PARTITIONS))
    # What comes while they are sick goes as well.
    await outbox.write(*neighbours, event_type=LAME)
    await outbox.write(*others, event_type=WELL)
    await eventually(lambda: unsent_is(outbox, 2050))
    # Each event counts once: a busy broker makes the relay send some again.
    well = {*neighbours, *others}
    await eventually(lambda: complete(lame_reader, well, 2000))
    assert versions_by_key(lame_reader.messages, {*well, *waiting, *thin}) == {
        key: [1, 2] for key in well
    }

    await asyncio.to_thread(second_broker.start)
    # The partitions get their leader back first, and are then tried every 15 s.
    await eventually(outbox.all_sent, seconds=120)
    await eventually(lambda: relay.metric_is("outbox_sick_partitions", 0))
    await eventually(lambda: complete(lame_reader, {*well, *waiting, *thin}, 4050))
    for topic, keys in ((LAME, waiting), (THIN, thin)):
        there = [message for message in lame_reader.messages if message.topic() == topic]
        assert versions_by_key(there, set(keys)) == {key: [1, 2] for key in keys}
    assert await overtakings(outbox) == 0
    assert await outbox.value("SELECT max(attempts) FROM outbox_events") == 1


def keys_on(name: str, partitions: tuple[int, ...], count: int) -> list[str]:
    """So many keys whose events in LAME go to one of `partitions`."""
    names = (f"{name}-{n}" for n in itertools.count())
    found = (key for key in names if murmur2(key.encode(), PARTITIONS) in partitions)
    return list(itertools.islice(found, count))


async def overtakings(outbox: Outbox) -> object:
    """Pairs of events of one key that were sent in the wrong order."""
    return await outbox.value(
        "SELECT count(*) FROM outbox_events a JOIN outbox_events b USING (aggregate_id)"
        " WHERE a.aggregate_version < b.aggregate_version AND a.processed_at > b.processed_at"
    )


async def unsent_is(outbox: Outbox, count: int) -> bool:
    return await outbox.unsent() == count

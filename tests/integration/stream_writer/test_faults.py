"""Servers and writers that die, freeze or are away: nothing that was accepted is lost."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field

import pytest
from redis.exceptions import OutOfMemoryError, RedisError

from services.shared.stream import names
from tests.integration.processes import ServiceProcess
from tests.integration.servers import PostgresServer, RedisServer, eventually
from tests.integration.stream_writer.conftest import NOBODY_DIED, StartWriter
from tests.integration.stream_writer.inlet import Documents, Inlet


@dataclass
class Producer:
    """Has documents accepted all the time, and remembers what was."""

    inlet: Inlet
    accepted: dict[str, int] = field(default_factory=dict[str, int])
    versions: int = 0
    stopped: bool = False

    async def run(self) -> None:
        while not self.stopped:
            self.versions += 1
            version = self.versions
            batch = {f"document-{version % 7}-{n}": {"version": version} for n in range(20)}
            try:
                await self.inlet.add_many(batch.items())
            except (RedisError, OSError):
                await asyncio.sleep(0.05)
            else:
                self.accepted |= dict.fromkeys(batch, version)
            await asyncio.sleep(0.005)


@pytest.fixture
async def producer(inlet: Inlet) -> AsyncIterator[Producer]:
    made = Producer(inlet)
    running = asyncio.create_task(made.run())
    yield made
    made.stopped = True
    await running


async def wait_for_all(producer: Producer, documents: Documents) -> None:
    """Wait until what has been accepted so far is stored as it was, or as it was sent later."""
    accepted = dict(producer.accepted)

    async def stored() -> bool:
        found = await documents.all()
        return all(
            name in found and found[name]["version"] >= version
            for name, version in accepted.items()
        )

    await eventually(stored)
    assert len(accepted) == 140


async def goes_on(producer: Producer, documents: Documents) -> None:
    """Wait until what is accepted from now on is written."""
    mark = producer.versions + 1

    async def later_ones_are_written() -> bool:
        return any(row["version"] > mark for row in (await documents.all()).values())

    await eventually(later_ones_are_written)


async def test_nothing_that_was_accepted_is_lost_when_redis_is_killed(
    inlet: Inlet,
    documents: Documents,
    stream_server: RedisServer,
    start_writer: StartWriter,
    producer: Producer,
) -> None:
    writers = [start_writer(f"writer-{n}") for n in range(2)]
    for writer in writers:  # each writes before it answers
        await eventually(writer.ready)
    await goes_on(producer, documents)
    for _ in range(2):
        stream_server.container.kill()
        await eventually(lambda: is_not(writers[0].ready()))
        health = await writers[0].get("/health")
        assert health is not None
        assert health.status_code == 200
        stream_server.container.start()
        await stream_server.wait()
        await goes_on(producer, documents)
    await wait_for_all(producer, documents)
    assert await inlet.dead() == []
    assert all(writer.terminate() == 0 for writer in writers)


async def test_nothing_that_was_accepted_is_lost_when_postgres_is_killed(
    inlet: Inlet,
    datadb: object,
    documents: Documents,
    postgres: PostgresServer,
    start_writer: StartWriter,
    producer: Producer,
) -> None:
    assert datadb
    # Long enough for a try to connect, and for a process that gets no time on a busy machine.
    claim_after = 10
    more = {"WRITER_CLAIM_AFTER_SECONDS": claim_after}
    writers = [start_writer(f"writer-{n}", **more) for n in range(2)]
    for writer in writers:  # each writes before it answers
        await eventually(writer.ready)
    await goes_on(producer, documents)
    postgres.container.kill()
    await eventually(lambda: is_not(writers[0].ready()))
    # Longer than it takes until an entry is given to others, if nobody says a word about it.
    await asyncio.sleep(2 * claim_after)
    assert await most_deliveries(inlet) == 1
    health = await writers[0].get("/health")
    assert health is not None
    assert health.status_code == 200
    postgres.container.start()
    await postgres.wait()
    await goes_on(producer, documents)
    await wait_for_all(producer, documents)
    assert await inlet.dead() == []
    assert all(writer.terminate() == 0 for writer in writers)


async def test_a_writer_that_was_frozen_and_comes_back_changes_nothing(
    inlet: Inlet, documents: Documents, start_writer: StartWriter
) -> None:
    ids = [f"document-{n}" for n in range(50)]
    for name in ids:
        await inlet.add(name, {"version": 1})
    # The next turn to commit is far away, so it has all of them in hand when it freezes, however
    # long it takes to start. A turn more than a minute ahead would be taken for a wrong clock.
    turn = (time.time() + 40) * 1e6
    await inlet.redis.set(names.BUDGET, f"{turn:.0f}")
    frozen = start_writer("frozen", WRITER_WORKERS=1, WRITER_CLAIM_AFTER_SECONDS=3600)
    await eventually(lambda: has_in_hand(inlet, "frozen-1", 50))
    frozen.signal(signal.SIGSTOP)
    await inlet.redis.delete(names.BUDGET)
    other = start_writer("other")
    await eventually(inlet.empty)
    assert await documents.all() == {name: {"version": 1} for name in ids}
    for name in ids[:25]:
        await inlet.add(name, {"version": 2})
    await eventually(inlet.empty)
    assert other.terminate() == 0
    before = await documents.fetch("SELECT * FROM documents ORDER BY id")
    # What is accepted while nobody else is there, to see that the pending copies stay.
    ours = await inlet.add(ids[0], {"version": 3})
    await inlet.redis.xreadgroup(names.GROUP, "test", {names.STREAM: ">"})

    frozen.signal(signal.SIGCONT)
    await eventually(lambda: frozen.metric_is("writer_documents_total", 50))
    assert await frozen.metric_is("writer_commits_total", 1)
    assert 'writer_documents_total{outcome="superseded"} 50.0' in await metrics(frozen)
    assert await documents.fetch("SELECT * FROM documents ORDER BY id") == before
    assert await inlet.dead() == []
    assert await inlet.pending_keys() == [names.PENDING + ids[0]]
    [left] = await inlet.in_hand("test")
    assert left["message_id"].decode() == ours


async def test_a_stream_that_was_flushed_is_told_and_made_anew(
    inlet: Inlet, documents: Documents, start_writer: StartWriter
) -> None:
    writer = start_writer()
    await inlet.add("before", {})
    await eventually(inlet.empty)
    assert "stream_was_lost" not in writer.log.read_text()
    await inlet.redis.flushall()
    await inlet.add("after", {})
    await eventually(lambda: holds(documents, {"before": {}, "after": {}}))
    await eventually(inlet.empty)
    [told] = [line for line in writer.log.read_text().splitlines() if "stream_was_lost" in line]
    assert json.loads(told)["level"] == "error"


async def test_a_redis_whose_memory_is_full_is_emptied(
    inlet: Inlet, documents: Documents, stream_server: RedisServer, start_writer: StartWriter
) -> None:
    await inlet.add("nul", '"\\u0000"')
    for n in range(50):
        await inlet.add(f"document-{n}", {"n": n})
    used = (await inlet.redis.info("memory"))["used_memory"]
    await inlet.redis.config_set("maxmemory", used - 100_000)
    try:
        with pytest.raises(OutOfMemoryError):
            await inlet.add("one more", {})
        await inlet.redis.script_flush()
        start_writer()
        await eventually(inlet.empty)
        assert await documents.count() == 50
        assert [letter["id"] for letter in await inlet.dead()] == ["nul"]
    finally:
        await inlet.redis.config_set("maxmemory", 128 * 2**20)


async def test_readers_that_are_gone_leave_the_group_when_others_have_what_they_had(
    inlet: Inlet, documents: Documents, start_writer: StartWriter
) -> None:
    await inlet.redis.xgroup_create(names.STREAM, names.GROUP, "0", mkstream=True)
    await inlet.redis.xgroup_createconsumer(names.STREAM, names.GROUP, "idle")
    await inlet.add("a", {})
    await inlet.redis.xreadgroup(names.GROUP, "busy", {names.STREAM: ">"})
    writer = start_writer("writer")
    await eventually(lambda: only_ours(inlet))
    assert await documents.count() == 1
    assert writer.terminate() == 0
    assert await inlet.consumers() == set()


async def test_entries_wait_for_a_database_that_is_not_migrated_yet(
    inlet: Inlet, documents: Documents, start_writer: StartWriter
) -> None:
    await documents.fetch("ALTER TABLE documents RENAME TO later")
    await inlet.add("a", {"n": 1})
    writer = start_writer(**NOBODY_DIED)
    await eventually(lambda: at_least(writer, "writer_retries_total", 2))
    assert (await inlet.length(), await inlet.dead()) == (1, [])
    await documents.fetch("ALTER TABLE later RENAME TO documents")
    await eventually(inlet.empty)
    assert await documents.all() == {"a": {"n": 1}}
    log = writer.log.read_text()
    assert log.count("write_will_be_retried") == 1
    assert "UndefinedTableError" in log
    assert "trouble_over" in log


async def is_not(check: Awaitable[bool]) -> bool:
    return not await check


async def holds(documents: Documents, expected: dict[str, object]) -> bool:
    return await documents.all() == expected


async def has_in_hand(inlet: Inlet, consumer: str, count: int) -> bool:
    return len(await inlet.in_hand(consumer)) == count


async def only_ours(inlet: Inlet) -> bool:
    consumers = await inlet.consumers()
    return bool(consumers) and all(name.startswith("writer-") for name in consumers)


async def most_deliveries(inlet: Inlet) -> int:
    found = await inlet.in_hand()
    assert found, "no writer has anything in hand"
    return max(one["times_delivered"] for one in found)


async def metrics(writer: ServiceProcess) -> str:
    response = await writer.get("/metrics")
    assert response is not None
    return response.text


async def at_least(writer: ServiceProcess, name: str, value: float) -> bool:
    return await writer.metric(name) >= value

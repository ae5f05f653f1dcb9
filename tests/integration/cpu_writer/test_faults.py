"""What rollups are after kills, hand-overs and absences: the same."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition

from services.contracts.topics import TELEMETRY_POINTS
from services.shared.kafka.clients import consumer_config
from tests.integration.cpu_writer.conftest import BY_POINTS, UNHURRIED, StartWriter
from tests.integration.cpu_writer.points import WINDOW, Point, Sender, Tables
from tests.integration.cpu_writer.test_rollups import HOUR, measured
from tests.integration.kafka_container import KafkaServer
from tests.integration.processes import ServiceProcess
from tests.integration.servers import MySQLServer, eventually

EAGER = {"CPU_WRITER_INLINE_POINTS": 0, "CPU_WRITER_BATCH_POINTS": 200}
"""Everything in the pool, and in many pieces."""


def children(parent: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def workers(writer: ServiceProcess) -> list[int]:
    """Processes of the pool: those that the server of the forks has made."""
    found: list[int] = []
    for server in children(writer.pid):
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended just now
            found += children(server)
    return found


def is_over(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "XZ"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def sent(sender: Sender, tables: Tables, points: Sequence[Point]) -> None:
    await asyncio.to_thread(sender.points, points)
    await tables.store(points)


async def test_killed_again_and_again_the_writer_comes_to_the_same(
    sender: Sender, tables: Tables, start_writer: StartWriter
) -> None:
    points = list(measured(begin=time.time() - 3 * HOUR, seconds=900, devices=30))
    await sent(sender, tables, points)
    rng = random.Random(3)
    for _ in range(6):
        writer = start_writer(**EAGER)
        await eventually(lambda writer=writer: _assigned(writer))
        await asyncio.sleep(rng.uniform(0, 2))
        started = workers(writer)
        writer.kill()
        # Nobody is left behind who would use memory for ever.
        await eventually(lambda started=started: _gone(started))
    start_writer(**EAGER)
    await tables.come_right()


async def test_killed_children_are_replaced_and_their_work_is_done_again(
    sender: Sender, tables: Tables, start_writer: StartWriter
) -> None:
    writer = start_writer(**EAGER, **BY_POINTS)
    await eventually(lambda: _assigned(writer))
    killed = 0
    begin = time.time() - 3 * HOUR
    for part in range(5):
        points = list(measured(begin=begin + 200 * part, seconds=200, devices=30, seed=part))
        sending = asyncio.create_task(sent(sender, tables, points))
        while not (found := workers(writer)) or not sending.done():
            await asyncio.sleep(0.05)
        with suppress(ProcessLookupError):
            os.kill(random.choice(found), signal.SIGKILL)
            killed += 1
        await sending
    sender.end(begin + 1001)
    await tables.come_right()
    assert killed
    assert await writer.metric("cpu_writer_pool_restarts_total") >= 1
    assert writer.running()
    assert (await writer.metric("cpu_writer_points_late_total")) == 0


async def test_two_writers_that_hand_partitions_over_come_to_the_same(
    sender: Sender, tables: Tables, start_writer: StartWriter
) -> None:
    begin = time.time() - 3 * HOUR
    first = start_writer("writer-1", **EAGER, **BY_POINTS)
    await eventually(lambda: _assigned(first, 6))
    names = iter(f"writer-{n}" for n in range(2, 100))
    for part in range(3):
        points = list(measured(begin=begin + 200 * part, seconds=200, seed=part))
        sending = asyncio.create_task(sent(sender, tables, points))
        second = start_writer(next(names), **EAGER, **BY_POINTS)
        await eventually(lambda second=second: _assigned(second, 1))
        await sending
        if part % 2:
            second.kill()
        else:
            assert second.terminate() == 0
    sender.end(begin + 601)
    await tables.come_right()
    late = await first.metric("cpu_writer_points_late_total")
    assert late == 0


async def test_a_writer_that_was_frozen_and_comes_back_changes_nothing(
    sender: Sender, tables: Tables, start_writer: StartWriter
) -> None:
    begin = time.time() - 3 * HOUR
    frozen = start_writer("writer-1", **EAGER, **BY_POINTS)
    await eventually(lambda: _assigned(frozen, 6))
    points = list(measured(begin=begin, seconds=400))
    half = len(points) // 2
    await sent(sender, tables, points[:half])
    await tables.holds(1)
    frozen.signal(signal.SIGSTOP)
    other = start_writer("writer-2", **EAGER, **BY_POINTS)
    await eventually(lambda: _assigned(other, 6))
    await sent(sender, tables, points[half:])
    sender.end(begin + 401)
    await tables.come_right()
    frozen.signal(signal.SIGCONT)
    await eventually(lambda: _assigned(frozen, 1))
    await tables.come_right()


async def test_while_the_database_is_away_nothing_is_lost_and_the_membership_is_kept(
    sender: Sender,
    tables: Tables,
    start_writer: StartWriter,
    healthy_mysql: MySQLServer,
) -> None:
    writer = start_writer(**UNHURRIED, **BY_POINTS)
    await eventually(writer.ready)
    begin = time.time() - 3 * HOUR
    points = list(measured(begin=begin, seconds=200))
    await tables.store(points)
    healthy_mysql.container.stop()
    await asyncio.to_thread(sender.points, points)
    sender.end(begin + 201)

    async def tried() -> bool:
        return await writer.metric("kafka_consumer_batch_retries_total") >= 3

    await eventually(tried)
    assert not await writer.ready()
    health = await writer.get("/health")
    assert health is not None
    assert health.status_code == 200
    healthy_mysql.container.start()
    await healthy_mysql.wait()
    await tables.come_right()
    assert await writer.metric('kafka_consumer_rebalances_total{kind="assigned"}') == 1
    await eventually(writer.ready)


async def test_read_again_from_the_beginning_everything_stays_as_it_is(
    sender: Sender,
    tables: Tables,
    start_writer: StartWriter,
    kafka_server: KafkaServer,
    group: str,
) -> None:
    start = kafka_server.committed(group, [TELEMETRY_POINTS])
    points = list(measured(begin=time.time() - 3 * HOUR, seconds=200))
    await sent(sender, tables, points)
    writer = start_writer()
    await tables.come_right()
    before = await tables.rollups()
    assert writer.terminate() == 0
    await eventually(lambda: _reset(kafka_server, group, start))
    again = start_writer()

    async def written_again() -> bool:
        return await again.metric("cpu_writer_windows_written_total") >= len(before)

    await eventually(written_again)
    assert await tables.rollups() == before
    assert again.terminate() == 0
    # Begun in the middle of windows, it knows a part of their points: it replaces nothing by that.
    middle = {place: (at + _end(kafka_server, place)) // 2 for place, at in start.items()}
    await eventually(lambda: _reset(kafka_server, group, middle, metadata="garbage"))
    third = start_writer()

    async def some_again() -> bool:
        return await third.metric("cpu_writer_windows_written_total") > 0 and await _idle(third)

    await eventually(some_again)
    assert await tables.rollups() == before
    assert "offset_metadata_unknown" in third.log.read_text()


async def test_with_little_memory_partitions_wait_for_each_other_and_all_comes_out(
    sender: Sender, tables: Tables, start_writer: StartWriter
) -> None:
    # At their end most of two windows are open: twice what there is room for.
    begin = (time.time() - 3 * HOUR) // WINDOW * WINDOW + 4.5
    points = list(measured(begin=begin, seconds=30, devices=60, every=0.02))
    await sent(sender, tables, points)
    writer = start_writer(CPU_WRITER_HELD_MEBIBYTES=1, CPU_WRITER_BATCH_POINTS=1000, **BY_POINTS)

    async def wait() -> bool:
        return "partitions_wait" in writer.log.read_text()

    await eventually(wait)
    sender.end(begin + 31)
    await tables.come_right()
    assert await writer.metric("cpu_writer_points_late_total") == 0


async def _assigned(writer: ServiceProcess, partitions: int = 1) -> bool:
    return await writer.metric("kafka_consumer_assigned_partitions") >= partitions


async def _idle(writer: ServiceProcess) -> bool:
    return await writer.metric("cpu_writer_windows_open") == 0


async def _gone(pids: Sequence[int]) -> bool:
    return all(map(is_over, pids))


def _consumer(server: KafkaServer, group: str) -> Consumer:
    return Consumer(
        consumer_config(
            server.settings(),
            "tester",
            group_id=group,
            group_instance_id=None,
            session_timeout_ms=10_000,
        )
    )


async def _reset(
    server: KafkaServer, group: str, offsets: dict[tuple[str, int], int], metadata: str = ""
) -> bool:
    """What an operator does with kafka-consumer-groups.sh --reset-offsets; whether the group takes
    it, which it does once it has noticed that its member is gone."""
    consumer = _consumer(server, group)
    try:
        places = [TopicPartition(*place, at, metadata) for place, at in offsets.items()]
        await asyncio.to_thread(consumer.commit, offsets=places, asynchronous=False)
    except KafkaException:
        return False
    finally:
        consumer.close()
    return True


def _end(server: KafkaServer, place: tuple[str, int]) -> int:
    consumer = _consumer(server, "reader")
    try:
        found = consumer.get_watermark_offsets(TopicPartition(*place), timeout=60)
        assert found is not None
        return found[1]
    finally:
        consumer.close()

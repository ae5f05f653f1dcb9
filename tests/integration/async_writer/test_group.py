"""Writers that are killed, stopped or cut off from Kafka: no point is lost or goes back in time."""

from __future__ import annotations

import asyncio
import signal
import time

from services.contracts.topics import TELEMETRY_POINTS
from tests.integration.async_writer.conftest import UNHURRIED, StartWriter, assigned, committed
from tests.integration.async_writer.points import Sender, Table
from tests.integration.kafka_container import ASYNC_WRITER, PARTITIONS, KafkaServer
from tests.integration.servers import eventually

SESSION_SECONDS = 6


async def test_three_writers_of_whom_some_are_killed_while_they_write_lose_no_point(
    start_writer: StartWriter, sender: Sender, table: Table
) -> None:
    names = ["writer-1", "writer-2", "writer-3"]
    writers = {name: start_writer(name) for name in names}

    async def stream() -> None:
        version = 0
        for second in range(40):
            for device in range(100):
                version += 1
                sender.point(f"stream-{device}", version / 3, version, second=second % 25)
            await asyncio.sleep(0.2)
        await asyncio.to_thread(sender.flush)

    streaming = asyncio.create_task(stream())
    for name in (*names, names[0]):
        before = await table.count()
        await eventually(lambda before=before: more_rows(table, before))
        writers[name].kill()
        writers[name] = start_writer(name)
    await streaming
    await eventually(table.equals(sender), seconds=120)


async def test_a_writer_that_joins_or_leaves_while_others_write_costs_no_batch_twice(
    start_writer: StartWriter, sender: Sender, table: Table, kafka_server: KafkaServer, group: str
) -> None:
    before = sum(kafka_server.committed(group, [TELEMETRY_POINTS]).values())
    # A batch takes a second: one is always in hand when partitions go.
    await table.do("CREATE TRIGGER slow BEFORE INSERT ON telemetry FOR EACH ROW DO SLEEP(0.01)")
    settings = {**UNHURRIED, "ASYNC_WRITER_BATCH_SIZE": 100, "ASYNC_WRITER_HANDOVER_SECONDS": 30}
    writers = [start_writer("writer-1", **settings)]
    for n in range(1800):
        sender.point(f"handed-{n % 90}", n, n + 1, second=n // 90)
    sender.flush()
    await eventually(lambda: more_rows(table, 100))
    writers.append(start_writer("writer-2", **settings))
    await eventually(lambda: assigned(writers[1]))
    await eventually(lambda: more_rows(table, 600))
    asked = time.monotonic()
    written = await writers[1].metric("async_writer_points_written_total")
    writers[1].signal(signal.SIGTERM)
    meanwhile = time.monotonic() - asked
    assert writers[1].exit_code() == 0
    await eventually(table.equals(sender), seconds=120)
    await eventually(lambda: committed(kafka_server, group, before + 1800))
    in_all = await writers[0].metric("async_writer_points_written_total")
    # What the one that left had in hand when it was asked for its numbers, and when it was told to
    # leave, it wrote before it left; and a batch for each second between the two.
    assert 1800 - 100 * (2 + int(meanwhile)) <= in_all + written <= 1800


async def test_a_writer_told_to_stop_hands_its_partitions_over_long_before_its_session_ends(
    start_writer: StartWriter, sender: Sender, table: Table
) -> None:
    # With this session, to wait for its end would outlast the test's patience.
    patience = {"KAFKA_SESSION_TIMEOUT_MS": 240_000}
    staying = start_writer("writer-1", **patience)
    await eventually(lambda: assigned(staying))
    leaving = start_writer("writer-2", **patience)
    await eventually(lambda: assigned(leaving))
    assert leaving.terminate() == 0
    for n in range(60):
        sender.point(f"left-{n}", n, 1)
    sender.flush()
    await eventually(table.equals(sender))
    assert await assigned(staying, PARTITIONS)


async def test_a_writer_is_not_ready_before_its_group_has_given_it_a_place(
    start_writer: StartWriter, kafka: KafkaServer
) -> None:
    kafka.container.stop()
    writer = start_writer()

    async def says(status: int) -> bool:
        response = await writer.get("/ready")
        return response is not None and response.status_code == status

    await eventually(lambda: says(503))
    alive = await writer.get("/health")
    assert alive is not None
    assert alive.status_code == 200
    await asyncio.to_thread(kafka.restart)
    await eventually(writer.ready)
    # From then on it may: Kafka's absence makes it no worse than any other.
    kafka.container.stop()
    await asyncio.sleep(SESSION_SECONDS)
    await eventually(writer.ready)  # its database may take longer than it waits for it


async def test_an_outage_of_kafka_beyond_the_session_does_not_cost_another_session_afterwards(
    start_writer: StartWriter, sender: Sender, table: Table, kafka: KafkaServer, group: str
) -> None:
    # Long enough for the member to be back in time after the broker, which a busy machine delays.
    writer = start_writer(KAFKA_SESSION_TIMEOUT_MS=30_000)
    sender.point("back", 1, 1)
    sender.flush()
    await eventually(table.equals(sender))
    kafka.container.kill()
    await asyncio.sleep(32)
    before = len(kafka.container.logs())
    await asyncio.to_thread(kafka.restart)
    sender.point("back", 2, 2)
    sender.flush()
    await eventually(table.equals(sender))
    assert writer.running()
    # A member that comes back as a new one waits until the group has given up the old one.
    assert f"in group {group} has failed" not in kafka.container.logs()[before:]


async def test_a_writer_goes_on_after_kafka_stood_still_longer_than_its_session(
    start_writer: StartWriter, sender: Sender, table: Table, kafka: KafkaServer
) -> None:
    writer = start_writer()
    sender.point("frozen", 1, 1)
    sender.flush()
    await eventually(table.equals(sender))
    kafka.container.pause()
    await asyncio.sleep(2 * SESSION_SECONDS)
    alive = await writer.get("/health")
    assert alive is not None
    assert alive.status_code == 200
    kafka.container.unpause()
    for n in range(60):
        sender.point(f"thawed-{n}", 2, 2)
    sender.flush()
    await eventually(table.equals(sender), seconds=120)


async def test_a_password_that_changed_under_a_running_writer_is_read_anew(
    start_writer: StartWriter, sender: Sender, table: Table, kafka: KafkaServer
) -> None:
    start_writer()
    sender.point("rotated", 1, 1)
    sender.flush()
    await eventually(table.equals(sender))
    kafka.passwords[ASYNC_WRITER].write_text("a-new-password-for-the-writer")
    await asyncio.to_thread(kafka.provision)
    kafka.container.stop()
    await asyncio.to_thread(kafka.restart)
    sender.point("rotated", 2, 2)
    sender.flush()
    await eventually(table.equals(sender))


async def test_a_topic_that_was_made_anew_is_read_again(
    start_writer: StartWriter, sender: Sender, table: Table, kafka: KafkaServer
) -> None:
    start_writer(ASYNC_WRITER_STALLED_AFTER_SECONDS=3)
    for n in range(60):
        sender.point(f"before-{n}", 1, 1, partition=n % PARTITIONS)
    sender.flush()
    await eventually(table.equals(sender))
    kafka.delete_topic(TELEMETRY_POINTS)
    await asyncio.to_thread(kafka.provision)
    after = Sender(kafka)
    after.newest = sender.newest
    # Fewer than before: a writer that looks only when all of them are there would take its place in
    # the old topic for one in the middle of the new one.
    for n in range(30):
        after.point(f"after-{n}", 2, 2, partition=n % PARTITIONS)
    after.flush()
    await eventually(table.equals(after), seconds=120)


async def more_rows(table: Table, before: int) -> bool:
    """Also once there are no more to come: writers slow to start may do it in one go."""
    found = await table.count()
    return found > before or found >= 2500

"""Workers that are killed, replaced or cut off: every event once, in order per resource."""

from __future__ import annotations

import asyncio
import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from services.contracts.topics import RESOURCE_CREATED
from services.shared.kafka.clients import consumer_config
from tests.integration.event_worker.conftest import UNHURRIED, StartWorker
from tests.integration.event_worker.messages import Rows, Sender
from tests.integration.kafka_container import TOPICS, WORKER, KafkaServer
from tests.integration.processes import ServiceProcess
from tests.integration.servers import PostgresServer, eventually


async def test_workers_killed_during_a_stream_store_every_event_once_and_in_order(
    start_worker: StartWorker, sender: Sender, rows: Rows
) -> None:
    keys = [f"stream-{n}" for n in range(50)]
    workers = [start_worker("worker-1"), start_worker("worker-2")]

    async def stream() -> None:
        for version in range(1, 41):
            for key in keys:
                sender.resource(
                    key, "c" if version == 1 else "d" if version == 40 else "u", version
                )
            await asyncio.sleep(0.15)
        await asyncio.to_thread(sender.flush)

    streaming = asyncio.create_task(stream())
    for number in (1, 2, 1):
        before = await rows.count()
        await eventually(lambda before=before: more_rows(rows, before, 2000))
        workers[number - 1].kill()
        workers[number - 1] = start_worker(f"worker-{number}")
    await streaming
    await eventually(rows.reach(2000), seconds=120)
    assert set(map(tuple, (await rows.versions()).values())) == {tuple(range(1, 41))}
    assert await rows.count("inbox_held") == 0


async def test_messages_delivered_again_after_a_crash_before_the_offset_commit_change_nothing(
    start_worker: StartWorker, sender: Sender, rows: Rows, kafka_server: KafkaServer, group: str
) -> None:
    before = kafka_server.committed(group)
    worker = start_worker()
    for n in range(100):
        sender.resource(f"crash-{n}", "c", 1)
    sender.flush()
    await eventually(rows.reach(100))
    worker.kill()
    # The state that a crash between the two commits leaves: rows there, offsets not.
    await eventually(lambda: commit(kafka_server, group, before))
    again = start_worker()
    sender.resource("crash-0", "u", 2)
    sender.flush()
    await eventually(rows.reach(101))
    await eventually(lambda: counted(again, 101))
    assert set(map(tuple, (await rows.versions()).values())) == {(1,), (1, 2)}


async def test_a_worker_waits_for_postgres_without_leaving_the_group_or_losing_anything(
    start_worker: StartWorker, sender: Sender, rows: Rows, healthy_postgres: PostgresServer
) -> None:
    worker = start_worker(**UNHURRIED)
    sender.resource("patient", "c", 1)
    sender.flush()
    await eventually(rows.reach(1))
    rebalances = await worker.metric("kafka_consumer_rebalances_total")
    healthy_postgres.container.kill()
    for version in range(2, 50):
        sender.resource("patient", "u", version)
    sender.flush()
    await eventually(lambda: retried(worker, 4))
    response = await worker.get("/ready")
    assert response is not None
    assert response.status_code == 503
    response = await worker.get("/health")
    assert response is not None
    assert response.status_code == 200
    healthy_postgres.container.start()
    await healthy_postgres.wait()
    await eventually(worker.ready)
    found = await eventually_versions(healthy_postgres, rows, 49)
    assert found == list(range(1, 50))
    assert await worker.metric("kafka_consumer_rebalances_total") == rebalances


async def test_a_batch_that_cannot_be_stored_in_time_is_stored_in_parts(
    start_worker: StartWorker, sender: Sender, rows: Rows, kafka_server: KafkaServer, group: str
) -> None:
    # 120 rows in one statement would take 7.2 s; it is given 5 s.
    await rows.slow_down("processed_events", "BEFORE INSERT", 0.06)
    for n in range(120):
        sender.resource(f"slow-{n}", "c", 1, partition=2)
    sender.flush()
    end = kafka_server.committed(group)[RESOURCE_CREATED, 2] + 120
    worker = start_worker(**UNHURRIED)
    await eventually(rows.reach(120))
    assert await worker.metric("kafka_consumer_batch_retries_total") >= 1

    async def committed() -> bool:
        return kafka_server.committed(group)[RESOURCE_CREATED, 2] == end

    await eventually(committed)
    assert await worker.metric("worker_messages_processed_total") == 120


async def test_a_worker_comes_back_after_kafka(
    start_worker: StartWorker, sender: Sender, rows: Rows, kafka: KafkaServer
) -> None:
    worker = start_worker()
    sender.resource("back", "c", 1)
    sender.flush()
    await eventually(rows.reach(1))
    kafka.container.stop()
    kafka.restart()
    sender.resource("back", "u", 2)
    sender.flush()
    await eventually(rows.reach(2))
    assert worker.running()


async def test_an_outage_of_kafka_beyond_the_session_does_not_cost_another_session_afterwards(
    start_worker: StartWorker, sender: Sender, rows: Rows, kafka: KafkaServer, group: str
) -> None:
    # Long enough for the member to be back in time after the broker, which a busy machine delays.
    worker = start_worker(KAFKA_SESSION_TIMEOUT_MS=30_000)
    sender.resource("outlasting", "c", 1)
    sender.flush()
    await eventually(rows.reach(1))
    kafka.container.kill()
    await eventually(lambda: lost(worker))
    before = len(kafka.container.logs())
    kafka.restart()
    sender.resource("outlasting", "u", 2)
    sender.flush()
    await eventually(rows.reach(2))
    # A member that comes back as a new one waits until the group has given up the old one.
    assert f"in group {group} has failed" not in kafka.container.logs()[before:]


async def test_a_static_member_that_crashes_and_comes_back_in_time_disturbs_nobody(
    start_worker: StartWorker, sender: Sender, rows: Rows
) -> None:
    patience = {"KAFKA_SESSION_TIMEOUT_MS": 240_000}
    staying = start_worker("worker-1", **patience)
    await eventually(lambda: assigned(staying))
    leaving = start_worker("worker-2", **patience)
    await eventually(lambda: assigned(leaving))
    # Once each has read from its partitions it has also counted that it was given them.
    for n in range(40):
        sender.resource(f"static-{n}", "c", 1)
    sender.flush()
    await eventually(rows.reach(40))
    before = await staying.metric("kafka_consumer_rebalances_total")
    leaving.kill()
    returning = start_worker("worker-2", **patience)
    await eventually(lambda: assigned(returning))
    for n in range(40):
        sender.resource(f"static-{n}", "u", 2)
    sender.flush()
    await eventually(rows.reach(80))
    assert await staying.metric("kafka_consumer_rebalances_total") == before


async def test_a_worker_whose_name_was_taken_works_again_once_the_name_is_free(
    start_worker: StartWorker, sender: Sender, rows: Rows, kafka_server: KafkaServer, group: str
) -> None:
    # The group also fences a member that a broker away for about a session has made forget its id.
    before = sum(kafka_server.committed(group).values())
    start_worker("worker-1")
    sender.resource("fenced", "c", 1)
    sender.flush()
    await eventually(rows.reach(1))
    other = member_of(kafka_server, group, "worker-1")
    other.subscribe(list(TOPICS))
    until = time.monotonic() + 60
    while not other.assignment() and time.monotonic() < until:
        await asyncio.to_thread(other.poll, 0.2)
    assert other.assignment()
    other.close()  # which does not leave the group: a static member
    sender.resource("fenced", "u", 2)
    sender.flush()
    await eventually(rows.reach(2))

    async def committed() -> bool:
        return sum(kafka_server.committed(group).values()) == before + 2

    await eventually(committed)


async def test_a_batch_in_hand_while_both_servers_are_away_does_not_leave_the_worker_paused(
    start_worker: StartWorker,
    sender: Sender,
    rows: Rows,
    healthy_postgres: PostgresServer,
    kafka: KafkaServer,
) -> None:
    worker = start_worker()
    sender.resource("both", "c", 1)
    sender.flush()
    await eventually(rows.reach(1))
    healthy_postgres.container.kill()
    sender.resource("both", "u", 2)
    sender.flush()
    await eventually(lambda: retried(worker, 2))
    kafka.container.kill()
    await eventually(lambda: lost(worker))
    await asyncio.to_thread(kafka.restart)
    healthy_postgres.container.start()
    await healthy_postgres.wait()
    sender.resource("both", "u", 3)
    sender.flush()
    assert await eventually_versions(healthy_postgres, rows, 3) == [1, 2, 3]


async def test_a_topic_that_was_made_anew_is_read_again(
    start_worker: StartWorker, sender: Sender, rows: Rows, kafka: KafkaServer
) -> None:
    # Each start of the broker raises the leaders' epochs; a new topic's begin anew, and the client
    # takes whatever it hears of them for old news.
    for _ in range(2):
        kafka.container.stop()
        await asyncio.to_thread(kafka.restart)
    worker = start_worker(WORKER_STALLED_AFTER_SECONDS=3)
    sender.resource("before", "c", 1)
    sender.flush()
    await eventually(rows.reach(1))
    kafka.delete_topic(RESOURCE_CREATED)
    await asyncio.to_thread(kafka.provision)
    after = Sender(kafka)
    for n in range(30):
        after.resource(f"after-{n}", "c", 1)
    after.flush()
    await eventually(rows.reach(31))
    assert await worker.metric("kafka_consumer_stalls_total") >= 1


async def test_a_password_that_changed_under_a_running_worker_is_read_anew(
    start_worker: StartWorker, sender: Sender, rows: Rows, kafka: KafkaServer
) -> None:
    start_worker()
    sender.resource("rotated", "c", 1)
    sender.flush()
    await eventually(rows.reach(1))
    kafka.passwords[WORKER].write_text("a-new-password-for-the-worker")
    await asyncio.to_thread(kafka.provision)
    kafka.container.stop()
    await asyncio.to_thread(kafka.restart)
    sender.resource("rotated", "u", 2)
    sender.flush()
    await eventually(rows.reach(2))


@pytest.mark.parametrize("kind", ["static", "ordinary"])
async def test_a_worker_told_to_stop_hands_its_partitions_over_long_before_its_session_ends(
    start_worker: StartWorker, sender: Sender, rows: Rows, kind: str
) -> None:
    # With this session, to wait for its end would outlast the test's patience.
    patience: dict[str, object] = {"KAFKA_SESSION_TIMEOUT_MS": 240_000}
    if kind == "ordinary":
        patience["KAFKA_GROUP_INSTANCE_ID"] = ""
    staying = start_worker("worker-1", **patience)
    await eventually(lambda: assigned(staying))
    leaving = start_worker("worker-2", **patience)
    await eventually(lambda: assigned(leaving))
    assert leaving.terminate() == 0
    for n in range(40):
        sender.resource(f"handed-{n}", "c", 1)
    sender.flush()
    await eventually(rows.reach(40))


async def more_rows(rows: Rows, before: int, total: int) -> bool:
    """Also once all are there: workers that were slow to start may do it in one go."""
    found = await rows.count()
    return found > before or found == total


async def counted(worker: ServiceProcess, messages: float) -> bool:
    return await worker.metric("worker_messages_processed_total") >= messages


async def retried(worker: ServiceProcess, times: float) -> bool:
    return await worker.metric("kafka_consumer_batch_retries_total") >= times


async def assigned(worker: ServiceProcess) -> bool:
    return await worker.metric("kafka_consumer_rebalances_total") > 0


async def lost(worker: ServiceProcess) -> bool:
    return '"partitions_lost"' in worker.log.read_text()


async def commit(server: KafkaServer, group: str, offsets: dict[tuple[str, int], int]) -> bool:
    """Possible once the group has noticed that its member is gone."""
    consumer = member_of(server, group, None)
    places = [TopicPartition(topic, part, at) for (topic, part), at in offsets.items()]
    try:
        await asyncio.to_thread(consumer.commit, offsets=places, asynchronous=False)
    except Exception:
        return False
    finally:
        consumer.close()
    return server.committed(group, TOPICS) == offsets


def member_of(server: KafkaServer, group: str, name: str | None) -> Consumer:
    return Consumer(
        consumer_config(
            server.settings(WORKER),
            "tester",
            group_id=group,
            group_instance_id=name,
            session_timeout_ms=6000,
        )
    )


async def eventually_versions(server: PostgresServer, rows: Rows, count: int) -> list[int]:
    """The versions in the order of their rows, asked by another than `rows`, whose server left."""
    query = "SELECT aggregate_version AS v FROM processed_events ORDER BY seq"
    database = rows.connection._params.database

    async def all_there() -> bool:
        return len(await server.as_admin(query, database)) >= count

    await eventually(all_there)
    return [row["v"] for row in await server.as_admin(query, database)]

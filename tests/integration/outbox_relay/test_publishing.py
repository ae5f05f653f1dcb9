"""What one relay does with ordinary events."""

from __future__ import annotations

import json

from services.contracts.topics import RESOURCE_CREATED
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.kafka_container import PARTITIONS, Reader, headers_of
from tests.integration.outbox_relay.conftest import StartRelay
from tests.integration.outbox_relay.outbox import (
    TRACEPARENT,
    Outbox,
    complete,
    key_of,
    versions_by_key,
)
from tests.integration.servers import PostgresServer, eventually

# What a busy machine's broker takes its time over is given up and sent again, which is right and
# would be counted here: these relays wait for it.
PATIENT = {"RELAY_LEASE_TTL_SECONDS": 60, "RELAY_MESSAGE_TIMEOUT_MS": 30_000}


async def test_an_event_travels_with_its_key_payload_and_headers(
    outbox: Outbox, start_relay: StartRelay, reader: Reader
) -> None:
    start_relay(**PATIENT)
    (event_id,) = await outbox.write("key-1", payload='{"id": "key-1", "name": "é"}')
    (message,) = await reader.wait(1)
    assert message.topic() == RESOURCE_CREATED
    assert message.key() == b"key-1"
    assert json.loads(message.value() or b"") == {"id": "key-1", "name": "é"}
    assert headers_of(message) == {
        "event_id": event_id,
        "event_type": RESOURCE_CREATED,
        "aggregate_version": "1",
        "traceparent": TRACEPARENT,
        "correlation_id": "correlation-key-1",
    }
    await eventually(outbox.all_sent)


async def test_a_relay_has_its_producer_before_its_first_event(
    outbox: Outbox, start_relay: StartRelay
) -> None:
    relay = start_relay(**PATIENT)

    async def made() -> bool:
        return await relay.metric("outbox_producers_created_total") == 1

    await eventually(made)
    assert await outbox.value("SELECT count(*) FROM outbox_events") == 0


async def test_events_go_out_once_and_in_order_per_key(
    outbox: Outbox, start_relay: StartRelay, reader: Reader
) -> None:
    keys = [f"order-{n}" for n in range(20)]
    for _ in range(60):
        await outbox.write(*keys, notify=False)
    start_relay(**PATIENT)
    await eventually(outbox.all_sent)
    messages = await reader.wait(1200)
    await reader.take(0.5)
    assert len(messages) == 1200
    assert versions_by_key(messages, set(keys)) == {key: list(range(1, 61)) for key in keys}


async def test_keys_land_on_the_partition_the_java_client_would_choose(
    outbox: Outbox, start_relay: StartRelay, reader: Reader
) -> None:
    keys = ["a", "b", "resource-1", "018f-7"]
    expected = {key: (murmur2(key.encode()) & 0x7FFFFFFF) % PARTITIONS for key in keys}
    start_relay(**PATIENT)
    await outbox.write(*expected)
    found = {key_of(message): message.partition() for message in await reader.wait(4)}
    assert found == expected


async def test_a_notification_wakes_the_relay_long_before_the_next_poll(
    outbox: Outbox, start_relay: StartRelay, reader: Reader
) -> None:
    relay = start_relay(**PATIENT, RELAY_POLL_MIN_SECONDS=10, RELAY_POLL_MAX_SECONDS=60)
    await eventually(lambda: held_all(outbox))
    await eventually(lambda: listening(outbox))
    # All that a first event alone takes is over with it; and the next poll is 10 s away.
    await outbox.write("first")
    await reader.wait(1)
    await outbox.write("woken")
    await reader.wait(2, seconds=8)
    assert relay.running()


async def test_events_without_a_notification_are_found_by_polling(
    outbox: Outbox, start_relay: StartRelay, reader: Reader
) -> None:
    start_relay(**PATIENT)
    await eventually(lambda: held_all(outbox))
    await outbox.write("polled", notify=False)
    await reader.wait(1)


async def test_the_relay_outlives_postgres_and_says_so_in_ready_but_not_in_health(
    outbox: Outbox,
    start_relay: StartRelay,
    reader: Reader,
    restdb: DatabaseSettings,
    healthy_postgres: PostgresServer,
) -> None:
    relay = start_relay()
    await outbox.write("before")
    await reader.wait(1)
    await eventually(outbox.all_sent)
    healthy_postgres.container.stop()

    async def not_ready() -> bool:
        response = await relay.get("/ready")
        return response is not None and response.status_code == 503

    await eventually(not_ready)
    health = await relay.get("/health")
    assert health is not None
    assert health.status_code == 200
    healthy_postgres.container.start()
    await healthy_postgres.wait()
    await eventually(relay.ready)
    again = await Outbox.open(as_admin(restdb, healthy_postgres))
    again.versions["before"] = 1
    await again.write("before")
    await eventually(lambda: complete(reader, {"before"}, 2))
    assert versions_by_key(reader.messages, {"before"}) == {"before": [1, 2]}
    await again.connection.close()


def as_admin(database: DatabaseSettings, server: PostgresServer) -> DatabaseSettings:
    return server.admin.model_copy(update={"name": database.name})


async def held_all(outbox: Outbox) -> bool:
    return sum((await outbox.leased_lanes()).values()) == 64


async def listening(outbox: Outbox) -> bool:
    found = await outbox.value(
        "SELECT count(*) FROM pg_stat_activity WHERE query ILIKE 'LISTEN%'"
        " AND datname = current_database()"
    )
    return bool(found)


def murmur2(data: bytes) -> int:
    """org.apache.kafka.common.utils.Utils.murmur2, as an unsigned number."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ (k >> 24)) * m & mask
        h = (h * m & mask) ^ k
    tail = data[whole:]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ (h >> 13)) * m & mask
    return h ^ (h >> 15)

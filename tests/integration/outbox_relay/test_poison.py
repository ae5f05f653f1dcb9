"""Events that cannot be published: their key waits, everything else goes on."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable, Iterator

import pytest

from services.outbox_relay import __main__ as command
from services.provision import kafka as provisioner
from services.provision.spec import TopicSpec
from services.shared.postgres.database import Database
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import PATIENCE
from tests.integration.kafka_container import (
    PARTITIONS,
    RELAY,
    SMALL,
    TOPICS,
    KafkaServer,
    Reader,
    headers_of,
)
from tests.integration.outbox_relay.conftest import StartRelay
from tests.integration.outbox_relay.outbox import Outbox, complete, versions_by_key
from tests.integration.processes import ServiceProcess, environment
from tests.integration.servers import eventually

Operator = Callable[..., Awaitable[tuple[int, str]]]

TOO_LARGE = json.dumps({"text": "x" * 1_100_000})
TOO_LARGE_FOR_SMALL = json.dumps({"text": [str(n * 7919 % 104729) for n in range(2000)]})


@pytest.fixture
def small_reader(kafka_server: KafkaServer) -> Iterator[Reader]:
    reader = kafka_server.reader([SMALL])
    yield reader
    reader.close()


@pytest.fixture
def operator(
    restdb: DatabaseSettings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Operator:
    """`operator("parked", "list")`: exit code and output of the operator's command, which has the
    patience of a test."""
    patient = {"connect_timeout": PATIENCE, "acquire_timeout": 30.0, "command_timeout": 30.0}
    monkeypatch.setattr(command, "Database", functools.partial(Database, **patient))
    for name, value in environment("outbox-relay-rest", restdb).items():
        monkeypatch.setenv(name, value)

    async def run(*arguments: str) -> tuple[int, str]:
        code = await asyncio.to_thread(command.main, list(arguments))
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


async def test_an_event_too_large_parks_its_key_and_no_other(
    outbox: Outbox, start_relay: StartRelay, reader: Reader, operator: Operator
) -> None:
    await outbox.write("bad", "good")
    await outbox.write("bad", payload=TOO_LARGE)
    await outbox.write("bad", "good")
    relay = start_relay()
    # Each event counts once: a busy broker makes the relay send some again.
    keys = {"bad", "good", "another"}
    await eventually(lambda: complete(reader, keys, 3))
    await eventually(lambda: parked(outbox, ["bad"]))
    await outbox.write("bad", "good", "another")
    await eventually(lambda: complete(reader, keys, 5))
    assert versions_by_key(reader.messages, keys) == {
        "bad": [1],
        "good": [1, 2, 3],
        "another": [1],
    }
    await eventually(lambda: relay.metric_is("outbox_events_parked_total", 1))
    await eventually(lambda: relay.metric_is("outbox_parked_keys", 1))
    assert "MSG_SIZE_TOO_LARGE" in str(await outbox.value("SELECT error FROM outbox_dead"))

    code, listed = await operator("parked", "list")
    assert code == 0
    entry = json.loads(listed)
    assert (entry["aggregate_id"], entry["aggregate_version"], entry["waiting"]) == ("bad", 2, 2)

    code, said = await operator("parked", "discard", "bad")
    assert code == 0, said
    await outbox.write("nudge")
    await eventually(lambda: complete(reader, {*keys, "nudge"}, 8))
    assert versions_by_key(reader.messages, {"bad"}) == {"bad": [1, 3, 4]}
    assert await outbox.value("SELECT count(*) FROM outbox_dead") == 1
    await eventually(outbox.all_sent)


async def test_a_parked_key_is_retried_from_the_event_that_failed(
    outbox: Outbox,
    start_relay: StartRelay,
    small_reader: Reader,
    kafka_server: KafkaServer,
    operator: Operator,
) -> None:
    await outbox.write("retried", event_type=SMALL)
    await outbox.write("retried", event_type=SMALL, payload=TOO_LARGE_FOR_SMALL)
    await outbox.write("retried", event_type=SMALL)
    start_relay()
    await eventually(lambda: parked(outbox, ["retried"]))
    topic = TopicSpec(
        name=SMALL,
        partitions=PARTITIONS,
        replication_factor=1,
        config={"max.message.bytes": "1000000"},
    )
    provisioner.provision(kafka_server.spec([topic]), wait_seconds=30)
    code, said = await operator("parked", "retry", "retried")
    assert code == 0, said
    await eventually(outbox.all_sent)

    def last_two() -> list[int]:
        in_order = sorted(small_reader.messages, key=lambda m: m.offset() or 0)
        return [int(headers_of(message)["aggregate_version"]) for message in in_order[-2:]]

    async def restored() -> bool:
        await small_reader.take()
        return last_two() == [2, 3]

    # The broker may have taken version 3 before it refused 2: the repeat restores the order.
    await eventually(restored)
    await small_reader.take(0.5)
    assert last_two() == [2, 3]
    assert await outbox.value("SELECT count(*) FROM outbox_dead") == 0
    kafka_server.provision()


async def test_an_event_waits_for_its_topic_however_often_it_is_tried_and_no_other_waits(
    outbox: Outbox, start_relay: StartRelay, reader: Reader, kafka_server: KafkaServer
) -> None:
    relay = start_relay(RELAY_MAX_ATTEMPTS=2, RELAY_CAREFUL_ATTEMPTS=1)
    await outbox.write("early", event_type="late.topic")
    await outbox.write("somewhere")
    await reader.wait(1)
    await eventually(lambda: failed_at_least(relay, 3))
    assert await outbox.parked_keys() == []
    topic = TopicSpec(name="late.topic", partitions=1, replication_factor=1, config={})
    user = kafka_server.user(RELAY, produce=[*TOPICS, SMALL, "late.topic"])
    provisioner.provision(kafka_server.spec([topic], [user]), wait_seconds=30)
    await eventually(outbox.all_sent)
    kafka_server.provision()


async def test_an_event_that_never_gets_an_answer_is_parked_alone(
    outbox: Outbox, start_relay: StartRelay, reader: Reader
) -> None:
    # As after ten relays that died over it, with innocent events in the same batches.
    await outbox.write(*[f"innocent-{n}" for n in range(20)], "killer")
    await outbox.connection.execute(
        "UPDATE outbox_events SET attempts = CASE aggregate_id WHEN 'killer' THEN 10 ELSE 4 END"
    )
    start_relay()
    await reader.wait(20)
    await eventually(lambda: parked(outbox, ["killer"]))
    assert "no answer to 10 attempts" in str(await outbox.value("SELECT error FROM outbox_dead"))
    # One of the others that had no answer in time rests for a second, and goes later.
    await eventually(lambda: unsent_is(outbox, 1))


async def test_every_parked_key_is_retried_at_once(outbox: Outbox, operator: Operator) -> None:
    first, second = await outbox.write("first", "second")
    await park(outbox, "first", first)
    await park(outbox, "second", second)
    code, said = await operator("parked", "retry", "--all")
    assert code == 0, said
    assert f"first: event {first} will be published again" in said
    assert f"second: event {second} will be published again" in said
    assert await outbox.parked_keys() == []
    assert await outbox.value("SELECT count(*) FROM outbox_events WHERE attempts = 0") == 2
    code, said = await operator("parked", "retry", "--all")
    assert (code, said.strip()) == (0, "keys freed: 0")


@pytest.mark.parametrize("action", ["retry", "discard"])
async def test_a_key_whose_event_is_gone_is_freed_all_the_same(
    outbox: Outbox, operator: Operator, action: str
) -> None:
    await park(outbox, "orphan", "gone")
    code, said = await operator("parked", action, "orphan")
    assert code == 0, said
    assert "orphan: event gone" in said
    assert await outbox.parked_keys() == []


async def test_commands_on_a_key_that_is_not_parked_fail_and_say_so(
    outbox: Outbox, operator: Operator
) -> None:
    code, said = await operator("parked", "retry", "unheard-of")
    assert code == 1
    assert "unheard-of: not parked" in said


async def park(outbox: Outbox, key: str, event_id: str) -> None:
    await outbox.connection.execute(
        "INSERT INTO outbox_parked (aggregate_id, event_id, reason) VALUES ($1, $2, 'test')",
        key,
        event_id,
    )
    await outbox.connection.execute("UPDATE outbox_events SET attempts = 9 WHERE id = $1", event_id)


async def failed_at_least(relay: ServiceProcess, times: int) -> bool:
    return (await relay.metric("outbox_publish_failures_total") or 0) >= times


async def parked(outbox: Outbox, keys: list[str]) -> bool:
    return await outbox.parked_keys() == keys


async def unsent_is(outbox: Outbox, count: int) -> bool:
    return await outbox.unsent() == count

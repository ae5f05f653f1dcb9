"""Relays that are killed, frozen or cut off: nothing lost, nothing reordered."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator

import pytest

from services.outbox_relay import __main__ as command
from tests.integration.kafka_container import KafkaServer, Reader
from tests.integration.outbox_relay.conftest import StartRelay
from tests.integration.outbox_relay.outbox import Outbox, complete, versions_by_key
from tests.integration.processes import ServiceProcess
from tests.integration.servers import PostgresServer, eventually


@pytest.fixture
async def writing(outbox: Outbox) -> AsyncIterator[asyncio.Task[int]]:
    """2,000 events over 40 keys while the test does its worst; gives their number."""

    async def write() -> int:
        for _ in range(50):
            await outbox.write(*[f"fault-{n}" for n in range(40)])
            await asyncio.sleep(0.1)
        return 2000

    task = asyncio.create_task(write())
    yield task
    task.cancel()


async def test_two_relays_killed_and_frozen_by_turns_lose_and_reorder_nothing(
    outbox: Outbox, start_relay: StartRelay, reader: Reader, writing: asyncio.Task[int]
) -> None:
    first, second = start_relay(), start_relay()
    await eventually(lambda: balanced(outbox, 2))
    sent = 0
    for round_ in range(3):
        frozen, killed = (first, second) if round_ % 2 else (second, first)
        sent = await more_sent(outbox, sent)
        frozen.signal(signal.SIGSTOP)
        sent = await more_sent(outbox, sent)
        killed.kill()
        replacement = start_relay()
        # Every lease of both runs out while the frozen one still believes in its own.
        await eventually(lambda: balanced(outbox, 1))
        frozen.signal(signal.SIGCONT)
        await eventually(lambda: balanced(outbox, 2))
        first, second = frozen, replacement
    total = await writing
    await eventually(outbox.all_sent)
    keys = {f"fault-{n}" for n in range(40)}
    await eventually(lambda: complete(reader, keys, total))
    assert versions_by_key(reader.messages, keys) == {key: list(range(1, 51)) for key in keys}
    assert await outbox.parked_keys() == []


async def test_a_relay_told_to_stop_hands_its_lanes_over_at_once(
    outbox: Outbox, start_relay: StartRelay, reader: Reader
) -> None:
    # With this lease, a take-over by expiry would outlast the test's patience.
    patience = {"RELAY_LEASE_TTL_SECONDS": 300, "RELAY_MESSAGE_TIMEOUT_MS": 30_000}
    first = start_relay(**patience)
    await eventually(lambda: balanced(outbox, 1))
    await outbox.write(*[f"handed-{n}" for n in range(50)])
    await reader.wait(50)
    assert first.terminate() == 0
    assert await outbox.leased_lanes() == {}
    assert await outbox.value("SELECT count(*) FROM relay_member") == 0
    start_relay(**patience)
    await outbox.write("handed-0")
    await reader.wait(51)


async def test_lanes_are_shared_when_a_relay_joins_and_taken_over_when_it_dies(
    outbox: Outbox, start_relay: StartRelay
) -> None:
    first = start_relay()
    await eventually(lambda: balanced(outbox, 1))
    second = start_relay()
    await eventually(lambda: balanced(outbox, 2))
    await eventually(lambda: first.metric_is("outbox_lanes_leased", 32))
    second.kill()
    await eventually(lambda: balanced(outbox, 1))
    await eventually(lambda: changes_at_least(first, 64 + 32 + 32))


async def test_events_wait_out_kafkas_absence_without_being_blamed_for_it(
    outbox: Outbox, start_relay: StartRelay, kafka: KafkaServer, reader: Reader
) -> None:
    # Who gets no time for longer than its lease tries once more, and that is counted.
    relay = start_relay(RELAY_MAX_ATTEMPTS=4, RELAY_LEASE_TTL_SECONDS=60)
    keys = {f"outage-{n}" for n in range(10)}
    await outbox.write(*keys)
    await reader.wait(10)
    await eventually(outbox.all_sent)
    reader.close()
    after = kafka.reader()
    kafka.container.stop()
    for _ in range(20):
        await outbox.write(*keys)
    await eventually(lambda: failed_sends(relay))
    before = await relay.metric("process_cpu_seconds_total")
    await eventually(lambda: age_above(relay, 8))
    spent = await relay.metric("process_cpu_seconds_total") - before
    assert spent < 4, "a relay that waits must not spin"
    assert await outbox.unsent() == 200
    assert await outbox.value("SELECT max(attempts) FROM outbox_events") in (1, 2)
    await eventually(relay.ready)  # readiness is about the database only
    kafka.restart()
    await eventually(outbox.all_sent)
    # A broker that has just started may be slow enough for some to be sent twice.
    await eventually(lambda: complete(after, keys, 200))
    assert versions_by_key(after.messages, keys) == {key: list(range(2, 22)) for key in keys}
    assert await outbox.parked_keys() == []
    after.close()


async def test_a_lasting_absence_of_the_database_is_logged_when_it_begins_and_when_it_ends(
    outbox: Outbox, start_relay: StartRelay, healthy_postgres: PostgresServer
) -> None:
    # A turn without usable lanes asks the database nothing. These stay usable for long enough that
    # one of the turns, up to a second apart, meets the absence.
    relay = start_relay(RELAY_LEASE_TTL_SECONDS=10)
    await eventually(lambda: balanced(outbox, 1))
    # A start on a busy machine may have had a trouble of its own.
    began, before = time.monotonic(), len(relay.log.read_text())
    healthy_postgres.container.stop()
    await eventually(lambda: logged(relay, "lease_renewal_failed", before))
    healthy_postgres.container.start()
    await eventually(lambda: logged(relay, "lease_renewal_recovered", before))
    log = relay.log.read_text()[before:]
    assert 1 <= log.count('"lease_renewal_failed"') <= most_lines(began)
    assert log.count('"database_unavailable"') <= most_lines(began)
    await eventually(lambda: logged(relay, "turns_recovered", before))


async def test_a_lost_wake_up_call_is_logged_when_it_is_lost_and_when_it_is_back(
    start_relay: StartRelay, healthy_postgres: PostgresServer
) -> None:
    healthy_postgres.container.stop()
    began = time.monotonic()
    relay = start_relay()
    await eventually(lambda: logged(relay, "listen_lost"))
    healthy_postgres.container.start()
    await eventually(lambda: logged(relay, "listen_recovered"))
    assert 1 <= relay.log.read_text().count('"listen_lost"') <= most_lines(began)


async def test_wrong_settings_end_the_relay_with_the_variables_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SERVICE_NAME", "")
    assert await asyncio.to_thread(command.main, []) == 1
    assert "SERVICE_NAME" in capsys.readouterr().err


def most_lines(began: float) -> int:
    """How often a trouble that began no earlier may be logged: at once, then every 30 seconds."""
    return 1 + int((time.monotonic() - began) // 30)


async def logged(relay: ServiceProcess, event: str, since: int = 0) -> bool:
    return f'"{event}"' in relay.log.read_text()[since:]


async def balanced(outbox: Outbox, relays: int) -> bool:
    lanes = (await outbox.leased_lanes()).values()
    return sorted(lanes) == [64 // relays] * relays


async def more_sent(outbox: Outbox, before: int) -> int:
    async def more() -> bool:
        return await sent() > before or await outbox.all_sent()

    async def sent() -> int:
        found = await outbox.value(
            "SELECT count(*) FROM outbox_events WHERE processed_at > '-infinity'"
        )
        assert isinstance(found, int)
        return found

    await eventually(more)
    return await sent()


async def changes_at_least(relay: ServiceProcess, count: float) -> bool:
    return await relay.metric("outbox_lease_changes_total") >= count


async def failed_sends(relay: ServiceProcess) -> bool:
    return await relay.metric("outbox_publish_failures_total") > 0


async def age_above(relay: ServiceProcess, seconds: float) -> bool:
    return await relay.metric("outbox_oldest_unsent_age_seconds") > seconds

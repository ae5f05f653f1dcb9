"""Points on their way, with brokers that librdkafka has inside the client for its own tests."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.ingest_service.telemetry import sending
from services.ingest_service.telemetry.messages import Message, headers
from services.ingest_service.telemetry.metrics import TelemetryMetrics
from services.ingest_service.telemetry.sending import AwayError, FullError, Sender
from services.ingest_service.telemetry.settings import PointSettings
from services.shared.kafka.clients import Config
from services.shared.runtime.settings import SettingsError

BROKERS: Config = {
    "test.mock.num.brokers": 3,
    "bootstrap.servers": "none.invalid:1",
    "enable.idempotence": True,
    "acks": "all",
    "message.timeout.ms": 20_000,
}
NOBODY: Config = {"bootstrap.servers": "127.0.0.1:1", "enable.idempotence": True}
HEADERS = headers("00-" + "a" * 32 + "-" + "b" * 16 + "-01", "one")
PATIENT = PointSettings(seconds=60)


def messages(count: int) -> list[Message]:
    return [(b"device-%d" % (n % 7), b"%d" % n) for n in range(count)]


class World:
    """A sender and its metrics."""

    def __init__(self, config: Callable[[], Config], settings: PointSettings = PATIENT) -> None:
        self.registry = CollectorRegistry()
        self.sender = Sender(config, settings, TelemetryMetrics(self.registry))

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"ingest_{name}", labels) or 0.0

    async def send(self, count: int) -> None:
        await self.sender.send(messages(count), HEADERS)


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "telemetry-producer"]


async def left(count: int) -> None:
    """Until there are so many."""
    async with asyncio.timeout(60):
        while len(threads()) != count:
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _none_before() -> None:
    assert not threads()


@pytest.fixture(autouse=True)
def _time(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a look, and between one and what follows it: a busy machine may take seconds."""
    monkeypatch.setattr(sending, "LOOK_SECONDS", 60.0)
    monkeypatch.setattr(sending, "TRUST_SECONDS", 60.0)


async def test_nothing_is_made_before_somebody_sends_and_one_producer_serves_all() -> None:
    world = World(lambda: BROKERS)
    assert world.metric("producers_total") == 0
    assert not threads()
    await asyncio.gather(*(world.send(500) for _ in range(10)))
    assert world.metric("points_accepted_total") == 5000
    assert world.metric("points_waiting") == 0
    assert world.metric("producers_total") == 1
    assert len(threads()) == 1
    await world.sender.close()
    assert not threads()


async def test_the_loop_is_woken_once_for_all_requests_of_a_round_and_not_for_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(lambda: BROKERS)
    await world.send(1)
    woken = 0
    loop = asyncio.get_running_loop()
    wake = loop.call_soon_threadsafe

    def counted(*args: Any, **more: Any) -> Any:
        nonlocal woken
        woken += 1
        return wake(*args, **more)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    await asyncio.gather(*(world.send(500) for _ in range(10)))
    # A round may have the last report of one request alone; a look wakes the loop once or twice.
    assert 1 <= woken <= 15
    await world.sender.close()


async def test_more_than_may_wait_is_refused_before_anything_is_sent() -> None:
    world = World(lambda: BROKERS, PointSettings(seconds=60, most_waiting=1000))
    # Nothing is awaited in between: the two wait for the first look.
    waiting = [asyncio.create_task(world.send(500)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(FullError):
        await world.send(1)
    assert world.metric("points_waiting") == 1000
    await asyncio.gather(*waiting)
    await world.send(1)
    assert world.metric("points_accepted_total") == 1001
    assert world.metric("points_refused_total", reason="full") == 1
    await world.sender.close()


async def test_who_cannot_reach_kafka_is_told_that_nothing_was_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "LOOK_SECONDS", 0.5)
    monkeypatch.setattr(sending, "PAUSE_SECONDS", 3600)
    world = World(lambda: NOBODY)
    answers = await asyncio.gather(*(world.send(5) for _ in range(20)), return_exceptions=True)
    answers += await asyncio.gather(world.send(5), return_exceptions=True)
    assert [type(one) for one in answers] == [AwayError] * 21
    assert not any(one.uncertain for one in answers if isinstance(one, AwayError))
    assert world.metric("points_waiting") == 0
    assert world.metric("points_refused_total", reason="away") == 105
    assert world.metric("producers_total") == 1
    await world.sender.close()


async def test_a_password_that_cannot_be_read_is_read_again_for_the_next_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "PAUSE_SECONDS", 0)
    readable = False

    def config() -> Config:
        if not readable:
            raise SettingsError("password: No such file or directory")
        return BROKERS

    world = World(config)
    with pytest.raises(AwayError, match="No such file") as error:
        await world.send(1)
    assert not error.value.uncertain
    readable = True
    await world.send(1)
    await world.sender.close()


async def test_a_producer_that_is_lost_is_replaced_and_what_it_had_is_settled() -> None:
    world = World(lambda: BROKERS)
    await world.send(1)
    under_way = [asyncio.create_task(world.send(500)) for _ in range(3)]
    await asyncio.sleep(0)
    line = world.sender._line
    assert line is not None
    line.lost = True
    await world.send(500)
    await asyncio.gather(*under_way)
    assert world.metric("producers_total") == 2
    assert world.metric("points_accepted_total") == 2001

    await left(1)
    await world.sender.close()


async def test_a_producer_that_nobody_needs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "IDLE_SECONDS", 0.05)
    world = World(lambda: BROKERS)

    for made in (1, 2):
        await world.send(10)
        await left(0)
        assert world.metric("producers_total") == made
    await world.sender.close()


async def test_what_was_handed_over_is_sent_before_the_end() -> None:
    world = World(lambda: BROKERS)
    await world.send(1)
    under_way = [asyncio.create_task(world.send(500)) for _ in range(5)]
    await asyncio.sleep(0)
    await world.sender.close()
    await asyncio.gather(*under_way)
    assert world.metric("points_accepted_total") == 2501
    with pytest.raises(AwayError, match="the process ends"):
        await world.send(1)

"""Kafka frozen, killed, or of another mind about the password: nothing acknowledged is lost, and
who is refused is told what to think of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime

import httpx
import pytest

from services.ingest_service.telemetry import sending as sender
from services.ingest_service.telemetry.endpoints import PATH
from tests.integration.authority import Authority, eventually
from tests.integration.ingest_service.telemetry.conftest import (
    MakeProcess,
    MakeTelemetry,
    Telemetry,
    key,
    keys,
    point,
)
from tests.integration.kafka_container import INGEST, KafkaServer, Reader

REFUSED = {"full", "unavailable", "outcome-unknown"}

pytestmark = pytest.mark.timeout(600)  # brokers start again, and never alone


def kind(response: httpx.Response) -> str:
    """Of a 503, which says when to try again."""
    assert response.status_code == 503, response.text
    assert int(response.headers["retry-after"]) >= 1
    assert response.headers["content-type"] == "application/problem+json"
    return response.json()["type"].rpartition(":")[2]


@dataclass
class Load:
    """Ten clients that send batches of twenty points, each point once."""

    telemetry: Telemetry
    reader: Reader
    acknowledged: set[tuple[str, str, datetime]] = field(default_factory=set)
    refused: set[tuple[str, str, datetime]] = field(default_factory=set)
    """Of which it was said that nothing was accepted."""
    kinds: set[str] = field(default_factory=set)
    there: set[tuple[str, str, datetime]] = field(default_factory=set)
    """In the topic, as far as it was read."""
    _stop: bool = False

    async def run(self, numbers: itertools.count[int]) -> None:
        while not self._stop:
            points = [point(next(numbers)) for _ in range(20)]
            response = await self.telemetry.send(*points)
            await asyncio.sleep(0.02)
            if response.status_code == 202:
                self.acknowledged.update(map(key, points))
                continue
            self.kinds.add(kind(response))
            if kind(response) != "outcome-unknown":
                self.refused.update(map(key, points))
            await asyncio.sleep(0.05)

    async def more(self, count: int) -> None:
        """Until so many more are acknowledged."""
        enough = len(self.acknowledged) + count

        async def there() -> bool:
            return len(self.acknowledged) >= enough

        await eventually(there, 120)

    async def is_there(self) -> bool:
        """Whether all that was acknowledged is in the topic."""
        await self.reader.take()
        self.there |= keys(self.reader)
        self.reader.messages.clear()
        return self.acknowledged <= self.there

    async def end(self) -> None:
        """Stop. What was acknowledged is there, and nothing of which it was said that it is not."""
        self._stop = True
        await eventually(self.is_there)
        assert not self.refused & self.there
        assert self.kinds <= REFUSED


@pytest.fixture
async def load(
    make_telemetry: MakeTelemetry, kafka: KafkaServer, reader: Reader
) -> AsyncIterator[Load]:
    telemetry = await make_telemetry(kafka=kafka.settings(INGEST), seconds=5)
    load, numbers = Load(telemetry, reader), itertools.count()
    clients = [asyncio.create_task(load.run(numbers)) for _ in range(10)]
    await load.more(500)
    yield load
    for client in clients:
        client.cancel()


async def test_a_frozen_broker_loses_nothing_acknowledged_and_nobody_waits_for_long(
    load: Load, kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever sends next hands points over, however long it took to freeze the broker. After a look
    # that it does not answer nothing would be handed over any more.
    monkeypatch.setattr(sender, "TRUST_SECONDS", 60.0)
    await load.more(100)
    await asyncio.to_thread(kafka.container.pause)

    async def both_were_said() -> bool:
        return {"outcome-unknown", "unavailable"} <= load.kinds

    await eventually(both_were_said)
    started = time.monotonic()
    assert kind(await load.telemetry.send(point(10**6))) in REFUSED
    assert time.monotonic() - started < 30  # the setting, and what a busy machine takes
    assert load.telemetry.metric("ingest_points_waiting") <= 20_000
    kafka.container.unpause()
    await load.more(500)
    assert load.telemetry.metric("ingest_points_refused_total", reason="away") > 0
    await load.end()


async def test_a_broker_that_is_killed_twice_loses_nothing_acknowledged(
    load: Load, kafka: KafkaServer
) -> None:
    for _ in range(2):
        kafka.container.kill()
        await asyncio.sleep(0.5)
        kafka.restart()
        await load.more(500)
    await load.end()


async def test_while_kafka_is_away_little_is_spent_and_the_rest_answers(
    make_telemetry: MakeTelemetry,
) -> None:
    telemetry = await make_telemetry()
    answers = await asyncio.gather(*(telemetry.send(point(n)) for n in range(200)))
    assert {kind(one) for one in answers} == {"unavailable"}
    assert "nothing was accepted" in answers[0].json()["detail"]
    assert (await telemetry.http.get("/health")).status_code == 200
    assert telemetry.metric("ingest_points_refused_total", reason="away") == 200
    assert telemetry.metric("ingest_producers_total") == 1
    ready = (await telemetry.http.get("/ready")).json()["checks"]
    assert set(ready) == {"stream"}, "Kafka takes no pod out of its Service"


async def test_a_replaced_password_is_taken_from_its_file_and_until_then_nothing_is_accepted(
    make_telemetry: MakeTelemetry, kafka: KafkaServer, reader: Reader, authority: Authority
) -> None:
    mounted = authority.folder / "mounted-kafka-password"
    mounted.write_text(kafka.passwords[INGEST].read_text())
    told = kafka.settings(INGEST).model_copy(update={"password_file": mounted})
    telemetry = await make_telemetry(kafka=told, seconds=5)
    await eventually(telemetry.accepts)
    kafka.passwords[INGEST] = authority.secret("kafka-ingest-new")
    kafka.mechanism(INGEST)
    kafka.provision()
    # Who is in stays in; nobody is, once the broker has started anew.
    kafka.container.kill()
    kafka.restart()

    async def is_refused() -> bool:
        response = await telemetry.send(point(1))
        return response.status_code == 503 and kind(response) == "unavailable"

    await eventually(is_refused)
    mounted.write_text(kafka.passwords[INGEST].read_text())
    await eventually(telemetry.accepts)
    assert telemetry.metric("ingest_producers_total") >= 2
    accepted = [point(n) for n in range(100, 600)]

    async def are_accepted() -> bool:
        return (await telemetry.send(*accepted)).status_code == 202

    await eventually(are_accepted)

    async def there() -> bool:
        await reader.take()
        return {key(one) for one in accepted} <= keys(reader)

    await eventually(there)


async def test_a_process_told_to_stop_answers_what_it_has_in_hand(
    make_process: MakeProcess, reader: Reader
) -> None:
    process = await make_process(INGEST_POINTS_SECONDS=60)
    base, numbers = f"http://127.0.0.1:{process.port}", itertools.count()
    async with httpx.AsyncClient(base_url=base, headers=process.headers, timeout=90) as http:

        async def send() -> httpx.Response:
            points = [point(next(numbers)) for _ in range(500)]
            return await http.post(PATH, json={"points": points})

        async def send_until_the_end() -> int:
            taken = 0
            with contextlib.suppress(httpx.TransportError):
                while (await send()).status_code == 202:
                    taken += 1
            return taken

        async def is_taken() -> bool:
            return (await send()).status_code == 202

        await eventually(is_taken)  # the first look at Kafka may take longer than it has
        clients = [asyncio.create_task(send_until_the_end()) for _ in range(10)]
        await reader.wait(2000)
        assert await asyncio.to_thread(process.terminate) == 0
        taken = 500 * (1 + sum(await asyncio.gather(*clients)))
    assert taken >= 2000
    await reader.wait(taken)
    log = process.log.read_text()
    assert "Traceback" not in log, log

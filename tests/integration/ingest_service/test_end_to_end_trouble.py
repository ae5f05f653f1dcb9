"""Trouble that both halves see, ingest and writer as processes: the ledger closes each time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial

import httpx
from redis.asyncio import Redis

from services.shared.postgres.database import connect
from services.shared.runtime.settings import DatabaseSettings
from services.shared.stream import names
from tests.integration.authority import PATIENCE
from tests.integration.ingest_service.conftest import PATH, MakeProcess
from tests.integration.processes import ServiceProcess
from tests.integration.servers import PostgresServer, eventually


@dataclass
class Ledger:
    """Replaces documents by the batch, without a pause, and knows what was acknowledged."""

    http: httpx.AsyncClient
    url: str
    acknowledged: dict[str, int] = field(default_factory=dict[str, int])
    refused: list[httpx.Response] = field(default_factory=list[httpx.Response])
    stopped: bool = False

    async def write(self, writer: int) -> None:
        """One at a time for each `writer`, whose documents nobody else writes."""
        for version in itertools.count(1):
            if self.stopped:
                return
            names = [f"{writer}-{version % 3}-{n}" for n in range(25)]
            batch = [{"id": name, "version": version} for name in names]
            # Who is refused sends the same again: of a call that a busy disk held up for too long
            # nobody knows whether it was done.
            while (answer := await self.http.post(self.url, json=batch)).status_code != 202:
                assert answer.status_code == 503, answer.text
                self.refused.append(answer)
                await asyncio.sleep(0.05)
            self.acknowledged |= dict.fromkeys(names, version)

    @property
    def full(self) -> list[httpx.Response]:
        """Refused because there was no room, and not because the stream was slow to answer."""
        kind = "urn:millrace:problem:full"
        return [answer for answer in self.refused if answer.json()["type"] == kind]

    @contextlib.asynccontextmanager
    async def writing(self, writers: int = 4) -> AsyncIterator[None]:
        running = [asyncio.create_task(self.write(n)) for n in range(writers)]
        try:
            yield
        finally:
            self.stopped = True
            await asyncio.gather(*running)

    async def close(self, stream: Redis, database: DatabaseSettings) -> None:
        """Every acknowledged document is stored once, with the value acknowledged last."""

        async def empty() -> bool:
            return await stream.xlen(names.STREAM) == 0

        await eventually(empty)
        assert await stream.keys(names.PENDING + "*") == []
        connection = await connect(database, "ledger", connect_timeout=PATIENCE)
        rows = await connection.fetch("SELECT id, document ->> 'version' AS version FROM documents")
        await connection.close()
        assert {row["id"]: int(row["version"]) for row in rows} == self.acknowledged
        assert await stream.xlen(names.DEAD) == 0


@contextlib.asynccontextmanager
async def ledger_of(pod: ServiceProcess) -> AsyncIterator[Ledger]:
    async with httpx.AsyncClient(headers=pod.headers, timeout=30) as http:
        yield Ledger(http, f"http://127.0.0.1:{pod.port}{PATH}")


async def test_while_the_store_is_away_documents_are_taken_until_the_queue_is_full_then_503(
    make_process: MakeProcess, stream: Redis, datadb: DatabaseSettings, postgres: PostgresServer
) -> None:
    pod = await make_process(INGEST_LOW_WATER="1000", INGEST_HIGH_WATER="3000")
    writer = await make_process("stream_writer", WRITER_ID="writer")
    async with ledger_of(pod) as ledger, ledger.writing():
        await eventually(lambda: more(ledger, 500))
        postgres.container.kill()
        before = len(ledger.acknowledged), await stream.xlen(names.STREAM)
        try:

            async def closed() -> bool:
                return bool(ledger.full)

            await eventually(closed)
            waiting = await stream.xlen(names.STREAM)
            assert before[1] < 3000 <= waiting, "it went on until the high mark"
            # Between two looks of the gate some more come in, and never many.
            assert waiting < 3000 + 4 * 25 * 100
            answer = ledger.full[0]
            assert int(answer.headers["retry-after"]) >= 1
            assert (await ledger.http.get(f"http://127.0.0.1:{pod.port}/ready")).status_code == 200
            # What waits is read all the same.
            name, version = next(reversed(ledger.acknowledged.items()))
            read = await ledger.http.get(f"{ledger.url}/{name}")
            assert read.json()["version"] >= version
        finally:
            postgres.container.start()
            await postgres.wait()
        taken = sum(ledger.acknowledged.values())

        async def lets_in_again() -> bool:
            return sum(ledger.acknowledged.values()) > taken + 1000

        await eventually(lets_in_again)
    await ledger.close(stream, datadb)
    assert await asyncio.to_thread(writer.terminate) == 0


async def test_writers_that_are_scaled_away_in_the_middle_of_batches_leave_nothing_behind(
    make_process: MakeProcess, stream: Redis, datadb: DatabaseSettings
) -> None:
    pods = [await make_process(), await make_process()]
    writers = [await make_process("stream_writer", WRITER_ID=f"writer-{n}") for n in range(3)]
    async with ledger_of(pods[0]) as ledger, ledger.writing():
        await eventually(lambda: more(ledger, 100))
        for number, leaving in enumerate(writers[1:], start=1):
            await eventually(partial(has_in_hand, stream, f"writer-{number}-"))
            assert await asyncio.to_thread(leaving.terminate) == 0
            mark = sum(ledger.acknowledged.values())

            async def goes_on(mark: int = mark) -> bool:
                return sum(ledger.acknowledged.values()) > mark + 100

            await eventually(goes_on)
    await ledger.close(stream, datadb)
    assert ledger.full == []
    # Whoever left in order left no entry to be taken over, and so nothing was written late.
    assert await writers[0].metric("writer_entries_claimed_total") == 0
    assert {name["name"].decode().rsplit("-", 1)[0] for name in await consumers(stream)} == {
        "writer-0"
    }


async def test_a_server_whose_clock_was_an_hour_ahead_goes_on_in_order(
    make_process: MakeProcess, stream: Redis, datadb: DatabaseSettings
) -> None:
    """Ids of entries never go back: until the clock has caught up they share one millisecond."""
    ahead = round((time.time() + 3600) * 1000)
    await stream.xadd(names.STREAM, {"id": "gone", "doc": "{}"}, id=f"{ahead}-7")
    await stream.xdel(names.STREAM, f"{ahead}-7")
    pod = await make_process()
    await make_process("stream_writer", WRITER_ID="writer")
    async with ledger_of(pod) as ledger:
        async with ledger.writing():
            await eventually(lambda: more(ledger, 200))
        name, version = next(reversed(ledger.acknowledged.items()))
        assert (await ledger.http.get(f"{ledger.url}/{name}")).json()["version"] == version
    await ledger.close(stream, datadb)
    connection = await connect(datadb, "test", connect_timeout=PATIENCE)
    assert {r["entry_ms"] for r in await connection.fetch("SELECT entry_ms FROM documents")} == {
        ahead
    }
    await connection.close()


async def has_in_hand(stream: Redis, prefix: str) -> bool:
    in_hand = await stream.xpending(names.STREAM, names.GROUP)
    return any(consumer["name"].decode().startswith(prefix) for consumer in in_hand["consumers"])


async def more(ledger: Ledger, documents: int) -> bool:
    return sum(ledger.acknowledged.values()) > documents


async def consumers(stream: Redis) -> list[dict[str, bytes]]:
    return await stream.xinfo_consumers(names.STREAM, names.GROUP)

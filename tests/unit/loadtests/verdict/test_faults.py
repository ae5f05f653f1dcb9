"""Faults of a real server, met by real users over HTTP, and what the gate says of them.

The server is a small one in this process; users come in a closed loop, each with one request every
pace, and what they measure goes the way that it goes in a load run: samples, run, gate.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from loadtests.verdict.gate import judge
from loadtests.verdict.results import Cache, Run, Store
from loadtests.verdict.samples import Samples
from loadtests.verdict.targets import targets_for
from tests.harness import load_runs
from tests.harness.load_runs import GET, LIST, POST

USERS = 400
_PATHS = {POST: "/api/data", GET: "/api/data/d-0", LIST: "/api/data"}

Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass
class Platform:
    """An ASGI application that keeps documents, with the faults that a test gives it."""

    sleeps: dict[str, float] = field(default_factory=dict[str, float])
    fails: dict[str, int] = field(default_factory=dict[str, int])
    loses_every: int = 0
    caches: bool = True
    stored: set[str] = field(default_factory=set[str])
    answered: int = 0

    async def __call__(self, scope: dict[str, Any], _receive: Any, send: Send) -> None:
        by_id = scope["path"] != "/api/data"
        name = POST if scope["method"] == "POST" else GET if by_id else LIST
        await asyncio.sleep(self.sleeps.get(name, 0.0))
        status = self.fails.get(name, 202 if name == POST else 200)
        if name == POST:
            self.answered += 1
            if not self.loses_every or self.answered % self.loses_every:
                self.stored.add(dict(scope["headers"])[b"x-id"].decode())
        source = b"local" if self.caches else b"database"
        headers = [(b"content-length", b"0"), (b"x-source", source)]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def served(platform: Platform) -> AsyncIterator[int]:
    config = uvicorn.Config(
        platform, host="127.0.0.1", port=0, log_level="error", lifespan="off", ws="none",
        timeout_keep_alive=600,  # users come back however long this process has to wait
    )  # fmt: skip
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await running


@dataclass
class Connection:
    """One user's: HTTP by hand, as a client with a pool of 250 is what would be measured."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, name: str, document: str) -> tuple[int, str]:
        """The status, and where the answer comes from."""
        method = name.split(" ", maxsplit=1)[0]
        head = f"{method} {_PATHS[name]} HTTP/1.1\r\nhost: here\r\nx-id: {document}\r\n"
        self.writer.write(f"{head}content-length: 0\r\n\r\n".encode())
        answer = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        return int(answer.split()[1]), "local" if "x-source: local" in answer else "database"


async def load(
    platform: Platform, pace: float, journey: tuple[str, ...] = load_runs.JOURNEY, turns: int = 2
) -> Run:
    """Some users, each with a few requests; what they saw as the results of a run.

    The run counts as long as its paces are, however busy this machine: how many requests an
    endpoint needs follows from that.
    """
    samples, sources, acked = Samples(_PATHS), Counter[str](), set[str]()
    seconds = turns * pace

    async def user(port: int, number: int) -> None:
        connection = Connection(*await asyncio.open_connection("127.0.0.1", port))
        for turn in range(turns):
            began = time.monotonic()
            name = journey[(number + turn) % len(journey)]
            document = f"d-{number}-{turn}"
            status, source = await connection.ask(name, document)
            took = time.monotonic() - began
            good = status < 400
            samples.add(name, turn * pace, 1000 * took, None if good else str(status))
            sources[source] += name == GET and good
            if name == POST and good:
                acked.add(document)
            await asyncio.sleep(max(0.0, pace - took))
        connection.writer.close()

    async with served(platform) as port:
        await asyncio.gather(*(user(port, number) for number in range(USERS)))
    return load_runs.run_of(
        samples,
        users=USERS,
        pace=pace,
        seconds=seconds,
        steady=(),
        points=tuple(samples.points(seconds, seconds, users=lambda _at: USERS)),
        cpu={},
        store=Store(seconds=seconds, commits=1, flushes=1, rows=len(platform.stored)),
        cache=Cache(by_source=dict(sources), hits=sources["local"], reads=sources.total()),
        books=load_runs.books(
            acknowledged=len(acked), documents=len(acked), missing=len(acked - platform.stored)
        ),
    )


def sentences(run: Run, about: str) -> list[str]:
    """What the gate says of one endpoint or thing, and that nothing else is missed.

    Others' latencies are left out: they depend on who else uses this machine's processors.
    """
    judgement = judge(run, targets_for("airgap", "async"))
    missed = [check for check in judgement.checks if not check.passed]
    assert {one.subject for one in missed if one.what not in ("p50", "p95", "p99")} <= {about}
    return [one.sentence for one in missed if one.subject == about]


async def test_a_sleep_in_a_handler_is_a_latency_of_its_endpoint() -> None:
    run = await load(Platform(sleeps={LIST: 2.1}), pace=2.3, turns=1)
    # Whether p99 is late as well depends on who else uses the processors.
    p50, p95, *late = sentences(run, LIST)
    assert p50.startswith("GET /api/data: p50 is ")
    assert p95.startswith("GET /api/data: p95 is ")
    assert all(one.startswith("GET /api/data: p99 is ") for one in late)


async def test_an_endpoint_that_users_leave_out_is_named() -> None:
    run = await load(Platform(), pace=0.5, journey=(POST, GET, GET, GET))
    (sentence,) = sentences(run, LIST)
    assert sentence.startswith("GET /api/data: nobody called it")


async def test_an_endpoint_that_fails_is_named_with_its_answers() -> None:
    run = await load(Platform(fails={GET: 503}), pace=0.5)
    found = judge(run, targets_for("airgap", "async")).sentences
    assert (
        f"{GET}: failure rate is 100.00 %, the target is < 1 % (520 of 520 requests: 520 times 503)"
    ) in found
    assert "cache: nothing was read by id, so its hit rate is unknown" in found


async def test_a_write_that_is_acknowledged_and_not_kept_is_lost() -> None:
    run = await load(Platform(loses_every=50), pace=0.5)
    (sentence,) = sentences(run, "ledger")
    assert sentence.startswith("ledger: 4 lost: acknowledged and not stored, of 240 documents")


async def test_a_cache_that_never_hits_is_named_with_who_answered_instead() -> None:
    run = await load(Platform(caches=False), pace=0.5)
    (sentence,) = sentences(run, "cache")
    assert sentence.endswith("of 520 reads: database 520")


async def test_a_server_without_a_fault_has_none_found() -> None:
    assert sentences(await load(Platform(), pace=0.5), "store") == []

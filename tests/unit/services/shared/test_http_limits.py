"""Raw sockets against the server that every service runs."""

from __future__ import annotations

import asyncio
import json
import re
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send

from services.shared.http import limits as http_limits
from services.shared.http import server
from services.shared.http.health import Readiness
from services.shared.http.limits import CLIENT_SECONDS, MAX_FIELDS, MAX_TARGET, BoundedProtocol
from services.shared.runtime.settings import ServiceSettings
from tests.unit.services.shared.loop_clock import LoopClock


@dataclass
class Site:
    """An application that answers with the body it got, and remembers what it was asked for."""

    current: ClassVar[Site]
    port: int
    seen: list[Scope] = field(default_factory=list)
    left: int = 0
    hold: asyncio.Event = field(default_factory=asyncio.Event)  # /held answers when it is set
    held: asyncio.Event = field(default_factory=asyncio.Event)
    came: int = 0  # bytes
    protocol: BoundedProtocol | None = None  # of the connection that was made last

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(scope)
        body, more = b"", scope["path"] != "/unread"
        if scope["path"] == "/held":
            self.held.set()
            await self.hold.wait()
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left += 1
                return
            body += message["body"]
            more = message["more_body"]
        length = str(len(body)).encode()
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]}
        )
        await send({"type": "http.response.body", "body": body})

    async def talk(self, *parts: bytes, seconds: float = 30) -> Answers:
        """All that the server says until it ends the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
            async with asyncio.timeout(seconds):
                return Answers(await reader.read())
        finally:
            writer.close()

    async def talk_too_slowly(self, sent: bytes, clock: LoopClock) -> Answers:
        """The same, of a client that sends no more than this in its time."""
        self.came, self.protocol = 0, None
        talk = asyncio.create_task(self.talk(sent, seconds=CLIENT_SECONDS + 60))
        await self.waits_for_more_than(len(sent))
        clock.forward(CLIENT_SECONDS)
        return await talk

    async def waits_for_more_than(self, size: int) -> None:
        """Until so much has come, and it is the client who keeps the connection waiting."""
        async with asyncio.timeout(60):
            while not (self.came >= size and self.protocol and self.protocol._deadline):
                await asyncio.sleep(0.001)


class Noting(BoundedProtocol):
    """Tells the test what has come."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        Site.current.protocol = self

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        Site.current.came += len(data)


@dataclass
class Answers:
    raw: bytes

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", self.raw)]

    def problem(self) -> dict[str, Any]:
        """The last answer, which must be a problem document and the end of the connection."""
        head, _, body = self.raw[self.raw.rindex(b"HTTP/1.1 ") :].partition(b"\r\n\r\n")
        headers = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
        assert headers[b"content-type"] == b"application/problem+json"
        assert headers[b"connection"] == b"close"
        assert int(headers[b"content-length"]) == len(body)
        document = json.loads(body)
        assert headers[b"x-correlation-id"].decode() == document["correlation_id"]
        assert document["status"] == self.statuses[-1]
        return document


@pytest.fixture(scope="module")
async def port() -> AsyncIterator[int]:
    """Of a server that hands each request to the Site of the test that runs."""
    stop, started = asyncio.Event(), asyncio.get_running_loop().create_future()
    startup = uvicorn.Server.startup

    async def announced(self: uvicorn.Server, sockets: Any = None) -> None:
        await startup(self, sockets)
        started.set_result(self.servers[0].sockets[0].getsockname()[1])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Site.current(scope, receive, send)

    settings = ServiceSettings(
        service_name="test",
        http_host="127.0.0.1",
        http_port=0,
        drain_seconds=0,
        shutdown_grace_seconds=1,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn.Server, "startup", announced)
        patch.setattr(server, "BoundedProtocol", Noting)
        # What is cut off before a busy machine has read it never sees its answer.
        patch.setattr(http_limits, "_LINGER_SECONDS", 60.0)
        readiness = Readiness(CollectorRegistry())
        serving = asyncio.create_task(server.serve(app, settings, readiness, stop))
        yield await started
    stop.set()
    await serving


@pytest.fixture
def site(port: int) -> Site:
    Site.current = Site(port)
    return Site.current


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> LoopClock:
    return LoopClock(monkeypatch)


def kind(answers: Answers) -> tuple[int, str]:
    document = answers.problem()
    return document["status"], document["type"].removeprefix("urn:millrace:problem:")


GET = b"GET / HTTP/1.1\r\n"
LAST = b"GET /last HTTP/1.1\r\nconnection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"


def fields(size: int) -> bytes:
    """Header fields that count `size` bytes together, in portions of at most 4 KiB."""
    lines: list[bytes] = []
    while size:
        # What is left over must be enough for a field of its own.
        portion = size if size <= 4096 else min(4096, size - 64)
        lines.append(b"n: " + b"v" * (portion - 33) + b"\r\n")
        size -= portion
    return b"".join(lines)


TOO_MUCH: dict[str, tuple[bytes, tuple[int, str]]] = {
    "a target": (b"GET /" + b"x" * MAX_TARGET + b" HTTP/1.1\r\n\r\n", (414, "target-too-long")),
    "a target that never ends": (b"GET /" + b"x" * 200_000, (414, "target-too-long")),
    "no target": (b"GET " + b" " * 200_000, (414, "target-too-long")),
    "one field": (GET + b"a: " + b"x" * MAX_FIELDS + b"\r\n\r\n", (431, "headers-too-large")),
    "a field that never ends": (GET + b"a: " + b"x" * 200_000, (431, "headers-too-large")),
    "a name that never ends": (GET + b"a" * 200_000, (431, "headers-too-large")),
    "blanks before a value": (GET + b"a:" + b" " * 200_000, (431, "headers-too-large")),
    "many fields": (GET + fields(MAX_FIELDS + 40) + b"\r\n", (431, "headers-too-large")),
    "many empty fields": (GET + b"a:\r\n" * 1000 + b"\r\n", (431, "headers-too-large")),
    "blank lines": (b"\r\n" * 100_000, (400, "framing-too-large")),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00", (400, "malformed-request")),
    "no path": (b"CONNECT a:1 HTTP/1.1\r\n\r\n", (400, "malformed-request")),
    "a bad field": (GET + b"a b: c\r\n\r\n", (400, "malformed-request")),
}


@pytest.mark.parametrize("case", list(TOO_MUCH))
async def test_too_much_before_a_request_is_a_problem_and_the_application_sees_nothing(
    site: Site, case: str
) -> None:
    sent, expected = TOO_MUCH[case]
    assert kind(await site.talk(sent)) == expected
    assert site.seen == []


@pytest.mark.parametrize("case", list(TOO_MUCH))
async def test_limits_hold_for_every_request_of_a_connection(site: Site, case: str) -> None:
    sent, expected = TOO_MUCH[case]
    pipelined = await site.talk(GET + b"\r\n" + sent)
    assert (pipelined.statuses, kind(pipelined)) == ([200, expected[0]], expected)
    assert len(site.seen) == 1


async def test_what_keeps_to_the_limits_is_served_however_it_is_cut(site: Site) -> None:
    target = b"/" + b"x" * (MAX_TARGET - 1)
    # "connection: close" counts 47 bytes.
    head = b"GET " + target + b" HTTP/1.1\r\n" + fields(MAX_FIELDS - 47)
    request = head + b"connection: close\r\n\r\n"
    for size in (len(request), 7000, 333):
        parts = [request[start : start + size] for start in range(0, len(request), size)]
        assert (await site.talk(*parts)).statuses == [200]
    pipelined = head + b"\r\n" + head + b"\r\n" + request
    assert (await site.talk(pipelined)).statuses == [200, 200, 200]


async def test_what_a_client_sends_too_much_of_is_not_kept(site: Site) -> None:
    """16 MiB in one header: what the whole process holds at most meanwhile, client included."""
    piece = b"x" * 65536
    tracemalloc.start()
    try:
        answers = await site.talk(GET + b"a: ", *([piece] * 256))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kind(answers) == (431, "headers-too-large")
    # The two sides' socket buffers are most of it.
    assert peak < 1024 * 1024


@pytest.mark.parametrize("sent", [b"G", GET, GET + b"a: b", GET + b"a: b\r\n"])
async def test_headers_that_do_not_arrive_in_time_are_408(
    site: Site, clock: LoopClock, sent: bytes
) -> None:
    assert kind(await site.talk_too_slowly(sent, clock)) == (408, "headers-too-slow")
    kept_alive = await site.talk_too_slowly(GET + b"\r\n" + sent, clock)
    assert (kept_alive.statuses, kind(kept_alive)) == ([200, 408], (408, "headers-too-slow"))
    assert [scope["path"] for scope in site.seen] == ["/"]


async def test_a_trickle_of_headers_does_not_extend_the_deadline(
    site: Site, clock: LoopClock
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    sent = 0
    for part in (GET, *[b"a: b\r\n"] * 10):
        writer.write(part)
        sent += len(part)
        await site.waits_for_more_than(sent)
        clock.forward(CLIENT_SECONDS / 11)
    # Had the last of them extended it, there were nearly CLIENT_SECONDS left.
    async with asyncio.timeout(CLIENT_SECONDS / 2):
        assert kind(Answers(await reader.read())) == (408, "headers-too-slow")
    writer.close()


@pytest.mark.parametrize(
    "sent", [b"", b"\r\n", b"POST /unread HTTP/1.1\r\ncontent-length: 9\r\n\r\n1"]
)
async def test_a_connection_that_owes_nothing_answerable_is_closed_without_a_word(
    site: Site, clock: LoopClock, sent: bytes
) -> None:
    assert 408 not in (await site.talk_too_slowly(sent, clock)).statuses


async def test_the_deadline_does_not_run_while_the_application_works(
    site: Site, clock: LoopClock
) -> None:
    """Half of a second request is there, and its turn has not come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    held = b"GET /held HTTP/1.1\r\n\r\n"
    writer.write(held + GET)
    await site.held.wait()
    clock.forward(CLIENT_SECONDS)
    site.hold.set()
    first = await reader.readuntil(b"\r\n\r\n")
    await site.waits_for_more_than(len(held + GET))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.1)
    clock.forward(CLIENT_SECONDS)
    async with asyncio.timeout(30):
        assert Answers(first + await reader.read()).statuses == [200, 408]
    writer.close()


@pytest.mark.parametrize("case", list(TOO_MUCH))
async def test_a_refusal_waits_for_the_answers_before_it(site: Site, case: str) -> None:
    sent, expected = TOO_MUCH[case]
    talk = asyncio.create_task(site.talk(b"GET /held HTTP/1.1\r\n\r\n" + sent))
    await site.held.wait()
    site.hold.set()
    answers = await talk
    assert (answers.statuses, kind(answers)) == ([200, expected[0]], expected)
    assert site.left == 0


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (b"1;" + b"x" * 200_000, (400, "framing-too-large")),
        (b"1\r\na\r\n0\r\na: " + b"x" * 200_000, (400, "framing-too-large")),
        (b"1\r\na\r\n0\r\n" + b"a: b\r\n" * 2000 + b"\r\n", (400, "framing-too-large")),
        (b"not a size", (400, "malformed-request")),
    ],
    ids=["chunk extension", "endless trailer", "many trailers", "malformed chunk"],
)
async def test_too_much_around_a_body_is_a_problem_and_the_application_hears_of_it(
    site: Site, rest: bytes, expected: tuple[int, str]
) -> None:
    assert kind(await site.talk(POST + rest)) == expected
    assert site.left == len(site.seen) == 1


@pytest.mark.parametrize("rest", [b"nonsense\r\n", b"0\r\nX: " + b"x" * MAX_FIELDS])
async def test_a_body_that_breaks_after_its_answer_gets_no_second_one(
    site: Site, rest: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"POST /unread HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    first = await reader.readuntil(b"\r\n\r\n")
    writer.write(rest)
    async with asyncio.timeout(30):
        assert Answers(first + await reader.read()).statuses == [200]
    writer.close()


async def test_a_trailer_never_becomes_a_header(site: Site) -> None:
    answers = await site.talk(POST + b"1\r\na\r\n0\r\nif-match: 7\r\n\r\n" + LAST)
    assert answers.statuses == [200, 200]
    assert site.seen[0]["headers"] == [(b"transfer-encoding", b"chunked")]


async def test_an_upgrade_that_is_not_offered_is_an_ordinary_request(site: Site) -> None:
    for what in (b"websocket", b"h2c"):
        asked = GET + b"connection: upgrade\r\nupgrade: " + what + b"\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(asked)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
    assert {scope["type"] for scope in site.seen} == {"http"}


@pytest.mark.parametrize("cut", [1, 30, 10_000])
async def test_what_comes_behind_an_upgrade_that_is_not_offered_is_answered_too(
    site: Site, cut: int
) -> None:
    upgrade = GET + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n"
    sent = upgrade * 3 + POST + b"1\r\na\r\n0\r\n\r\n" + upgrade + LAST
    answers = await site.talk(*(sent[at : at + cut] for at in range(0, len(sent), cut)))
    assert answers.statuses == [200] * 6
    assert [scope["method"] for scope in site.seen[2:5]] == ["GET", "POST", "GET"]


@pytest.mark.parametrize(
    "framing", [b"content-length: 3\r\n\r\nabc", b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"]
)
async def test_an_upgrade_with_a_body_is_refused_as_nobody_would_see_the_body(
    site: Site, framing: bytes
) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n"
    answers = await site.talk(GET + b"Host: x\r\n\r\n" + head + framing + LAST)
    assert answers.statuses == [200, 400]
    assert answers.problem()["type"].endswith(":upgrade-with-body")
    assert len(site.seen) == 1


async def test_so_many_requests_before_the_first_answer_are_not_kept(site: Site) -> None:
    request = GET + b"Host: x\r\n\r\n"
    few = await site.talk(request * 50 + GET + b"Host: x\r\nConnection: close\r\n\r\n")
    assert few.statuses == [200] * 51
    many = await site.talk(request * 5_000)
    assert many.statuses[-1] == 400
    assert many.problem()["type"].endswith(":too-many-pipelined")
    assert len(many.statuses) < 1_000

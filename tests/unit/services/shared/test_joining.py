"""Answers as a raw socket gets them: the head of one with the beginning of its body."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Receive, Scope, Send

from services.shared.http.application import Application
from services.shared.http.direct import Call, DirectRoutes, Reply
from services.shared.http.gate import openly
from services.shared.http.limits import BoundedProtocol
from services.shared.runtime.metrics import HttpMetrics

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"


class Writes:
    """Notes every write to the connection."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.made: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.made.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)


class Noting(BoundedProtocol):
    writes: Writes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        type(self).writes = Writes(transport)
        super().connection_made(type(self).writes)  # type: ignore[arg-type]


async def parts(scope: Scope, receive: Receive, send: Send) -> None:
    """An answer in two parts, after all of the request."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-length", b"6")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"one", "more_body": True})
    await send({"type": "http.response.body", "body": b"two"})


@contextlib.asynccontextmanager
async def listening(app: ASGIApp) -> AsyncIterator[int]:
    config = uvicorn.Config(
        app, port=0, http=Noting, log_config=None, lifespan="off", server_header=False,
        date_header=False,
    )  # fmt: skip
    config.load()
    state = uvicorn.Server(config).server_state

    def protocol() -> asyncio.Protocol:
        return Noting(config=config, server_state=state, app_state={})

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with listening(parts) as it:
        yield it


@pytest.fixture
async def direct_port() -> AsyncIterator[int]:
    """Of an application with an endpoint past the framework."""

    async def echo(call: Call) -> Reply:
        return Reply(200, b"<" + call.body + b">", ((b"etag", call.body),))

    direct = DirectRoutes()
    direct.add("POST", "/", echo, lambda error: None)
    metrics = HttpMetrics(CollectorRegistry())
    app = Application(direct, guard=None, context={"metrics": metrics, "max_body": 9})
    app.post("/", dependencies=[openly("nobody is asked here")])(lambda: None)
    app.finish()
    async with listening(app) as it:
        yield it


async def said(port: int, request: bytes, end: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(30):
        answer = await reader.readuntil(end)
    writer.close()
    return answer


async def test_a_head_goes_out_with_the_beginning_of_its_body(port: int) -> None:
    answer = await said(port, GET, b"onetwo")
    first, second = Noting.writes.made
    assert first.startswith(b"HTTP/1.1 200")
    assert (first + second, second) == (answer, b"two")


async def test_an_answer_that_is_all_head_goes_out_as_well_and_so_do_those_behind_it(
    port: int,
) -> None:
    answer = await said(port, HEAD + HEAD + GET, b"onetwo")
    assert answer.count(b"HTTP/1.1 200") == 3


async def test_who_waits_to_be_told_to_continue_is_told_before_the_answer(port: int) -> None:
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(30):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"x")
        assert b"200" in await reader.readuntil(b"onetwo")
    writer.close()


def post(body: bytes, more: bytes = b"", version: bytes = b"1.1") -> bytes:
    head = b"POST / HTTP/%s\r\nHost: x\r\nX-Correlation-ID: me\r\n%sContent-Length: %d\r\n\r\n"
    return head % (version, more, len(body)) + body


def answered(body: bytes, more: bytes = b"") -> bytes:
    head = b"content-length: %d\r\ncontent-type: application/json\r\netag: %s\r\n"
    end = b"x-correlation-id: me\r\n" + more + b"\r\n<" + body + b">"
    return b"HTTP/1.1 200 OK\r\n" + head % (len(body) + 2, body) + end


async def all_said(port: int, *requests: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in requests:
        writer.write(request)
        await asyncio.sleep(0.01)
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    return answer


async def test_a_direct_answer_goes_out_at_once_wherever_its_request_was_cut(
    direct_port: int,
) -> None:
    close = b"connection: close\r\n"
    sent = post(b"one") + post(b"") + post(b"three", close)
    awaited = [answered(b"one"), answered(b""), answered(b"three", close)]
    assert await all_said(direct_port, sent) == b"".join(awaited)
    assert Noting.writes.made == awaited
    cuts = (10, len(post(b"one")) - 1, len(sent) - 2)
    pieces = [sent[a:b] for a, b in zip((0, *cuts), (*cuts, None), strict=True)]
    assert await all_said(direct_port, *pieces) == b"".join(awaited)
    assert await all_said(direct_port, post(b"old", version=b"1.0")) == answered(b"old", close)


async def test_a_direct_answer_needs_no_continue_when_the_body_is_there(direct_port: int) -> None:
    sent = post(b"x", b"Expect: 100-continue\r\nConnection: close\r\n")
    close = b"connection: close\r\n"
    assert await all_said(direct_port, sent) == answered(b"x", close)
    reader, writer = await asyncio.open_connection("127.0.0.1", direct_port)
    writer.write(sent[:-1])
    async with asyncio.timeout(30):
        # The rest after it: both may come at once otherwise, and then nobody needs to be told.
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(sent[-1:])
        assert await reader.read() == answered(b"x", close)
    writer.close()


async def test_a_body_that_is_there_may_not_be_larger_either(direct_port: int) -> None:
    answer = await all_said(direct_port, post(b"x" * 10) + post(b"never"))
    assert answer.startswith(b"HTTP/1.1 413")
    assert answer.count(b"HTTP/1.1") == 1


async def test_a_header_that_would_be_two_is_not_sent(direct_port: int) -> None:
    assert await all_said(direct_port, post(b"a\r\nb: c")) == b""

"""Answers as a raw socket gets them: the head of one with the beginning of its body."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from services.shared.http.limits import BoundedProtocol

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


@pytest.fixture
async def port() -> AsyncIterator[int]:
    config = uvicorn.Config(
        parts, port=0, http=Noting, log_config=None, lifespan="off", server_header=False
    )
    config.load()
    state = uvicorn.Server(config).server_state

    def protocol() -> asyncio.Protocol:
        return Noting(config=config, server_state=state, app_state={})

    listening = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    yield listening.sockets[0].getsockname()[1]
    listening.close()


async def said(port: int, request: bytes, end: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(10):
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
    async with asyncio.timeout(10):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"x")
        assert b"200" in await reader.readuntil(b"onetwo")
    writer.close()

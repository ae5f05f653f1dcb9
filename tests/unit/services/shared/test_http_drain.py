"""A server that ends lets go of its clients one answer at a time, and not all at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send

from services.shared.http import server
from services.shared.http.health import Readiness
from services.shared.http.joining import JOINED
from services.shared.runtime.settings import ServiceSettings
from tests.unit.services.shared.loop_clock import LoopClock

DRAIN_SECONDS = 60.0
LENGTH = (b"content-length", b"2")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/joined" and scope[JOINED].answer(200, [LENGTH], b"ok"):
        return
    await send({"type": "http.response.start", "status": 200, "headers": [LENGTH]})
    await send({"type": "http.response.body", "body": b"ok"})


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def head(self, path: str) -> bytes:
        """Of the answer, whose body is read as well."""
        self.writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert await self._reader.readexactly(2) == b"ok"
        return head

    async def is_closed(self) -> bool:
        return await self._reader.read() == b""


@pytest.mark.parametrize("path", ["/joined", "/sent"])
async def test_while_it_drains_each_answer_is_the_last_on_its_connection(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    stop, started = asyncio.Event(), asyncio.get_running_loop().create_future()
    startup = uvicorn.Server.startup

    async def announced(self: uvicorn.Server, sockets: Any = None) -> None:
        await startup(self, sockets)
        started.set_result(self.servers[0].sockets[0].getsockname())

    monkeypatch.setattr(uvicorn.Server, "startup", announced)
    clock = LoopClock(monkeypatch)
    settings = ServiceSettings(
        service_name="test",
        http_host="127.0.0.1",
        http_port=0,
        drain_seconds=DRAIN_SECONDS,
        shutdown_grace_seconds=1,
    )
    readiness = Readiness(CollectorRegistry())
    serving = asyncio.create_task(server.serve(app, settings, readiness, stop))
    async with asyncio.timeout(DRAIN_SECONDS + 60):
        host, port = await started
        before, silent = [Client(*await asyncio.open_connection(host, port)) for _ in range(2)]
        for client in (before, before, silent):
            assert b"connection: close" not in await client.head(path)
        stop.set()
        while not readiness.draining:
            await asyncio.sleep(0)
        new = Client(*await asyncio.open_connection(host, port))
        for client in (before, new):
            assert (await client.head(path)).count(b"connection: close") == 1
            assert await client.is_closed()
        assert not serving.done()
        clock.forward(DRAIN_SECONDS)
        assert await silent.is_closed()
        await serving
    for client in (before, silent, new):
        client.writer.close()

"""Runs an ASGI application until SIGTERM or SIGINT, and ends it gracefully."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Generator

import uvicorn
from starlette.types import ASGIApp

from services.shared.http.health import Readiness
from services.shared.http.limits import BoundedProtocol
from services.shared.runtime.logging import get_logger
from services.shared.runtime.settings import ServiceSettings

log = get_logger(__name__)

_MADE_BEFORE_COLLECTING = 20_000
"""Objects that are there at a time. At Python's own 700 the collector looks at requests and batches
that are being worked on again and again; when they are done they go without it."""


class _Server(uvicorn.Server):
    """uvicorn would close the listener at the first signal; here serve() decides when.

    It would also look ten times a second whether it is to: nine in ten of the times that a service
    wakes up which nobody calls.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ended = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def main_loop(self) -> None:
        await self.on_tick(0)  # sets the headers of every answer, which hold no date
        await self._ended.wait()

    def part(self) -> None:
        """Tell every client that the answer it gets is the last on its connection.

        At the end all that are left are closed at once: of whoever sends just then, the request
        would be lost without an answer, and nobody may send it again who does not know what it did.
        """
        self.server_state.default_headers = [(b"connection", b"close")]

    def end(self) -> None:
        """Close the listener, and give requests in flight their time."""
        self.should_exit = True
        self._ended.set()


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set `stop` at SIGTERM or SIGINT. Call it inside the running loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def serve(
    app: ASGIApp, settings: ServiceSettings, readiness: Readiness, stop: asyncio.Event
) -> None:
    """Serve `app` until `stop` is set.

    Then /ready fails at once, the listener stays open for drain_seconds so that load balancers
    see it, each answer is the last on its connection, and requests in flight get
    shutdown_grace_seconds to finish. A background task of the service (relay, worker) waits for
    the same event and runs beside this one.
    """
    server = _Server(
        uvicorn.Config(
            app,
            host=settings.http_host,
            port=settings.http_port,
            http=BoundedProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nobody asks who the client is
            date_header=False,
            lifespan="off",
            timeout_keep_alive=75,
            timeout_graceful_shutdown=max(1, round(settings.shutdown_grace_seconds)),
        )
    )
    # What is there by now stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_MADE_BEFORE_COLLECTING)
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            readiness.drain()
            server.part()
            log.info("draining", seconds=settings.drain_seconds)
            await asyncio.wait({serving}, timeout=settings.drain_seconds)
            server.end()
        # Raises here when the server could not start: a port in use is SystemExit from uvicorn.
        await serving
    finally:
        stopping.cancel()
        stop.set()

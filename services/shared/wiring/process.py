"""Runs the work of one process, with its HTTP server beside it, until it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from prometheus_client import CollectorRegistry

from services.shared.http.health import Check, Readiness
from services.shared.http.liveness import worker_app
from services.shared.http.server import serve, stop_on_signals
from services.shared.runtime.heartbeat import Heartbeat
from services.shared.runtime.logging import get_logger
from services.shared.runtime.settings import ServiceSettings

log = get_logger(__name__)

Routine = Callable[[], Coroutine[Any, Any, object]]
"""Called once, to make the coroutine."""


class Answering(Protocol):
    """A database of any kind: ping() returns when it answers, and raises when it does not."""

    async def ping(self) -> None: ...


class Process:
    """What a process answers for on /health, /ready and /metrics. The database is open.

    checks: what it needs beside the database to be ready, by name.
    """

    def __init__(
        self,
        service: ServiceSettings,
        database: Answering,
        registry: CollectorRegistry,
        heartbeat: Heartbeat,
        checks: Mapping[str, Check] | None = None,
    ) -> None:
        self.service = service
        self.readiness = Readiness(registry)
        self.app = worker_app(service.service_name, self.readiness, registry, heartbeat)
        for name, check in {"database": database.ping, **(checks or {})}.items():
            self.readiness.add(name, check)


async def work_until_stopped(
    process: Process,
    work: Callable[[asyncio.Event], Coroutine[Any, Any, None]],
    *,
    on_stop: Callable[[], None],
    beside: Sequence[Routine] = (),
) -> None:
    """Run `work`, and `beside` it what has no end, until SIGTERM or SIGINT.

    `work` is given the event that a signal sets, `on_stop` is called when it is set (it may be
    called twice). `work` then has shutdown_grace_seconds to end; what is beside it goes on for as
    long, and is cancelled. Work that ends before that ends the process, with what it raised: one
    that only looks alive would be left as it is.
    """
    service = process.service
    stop = asyncio.Event()
    stop_on_signals(stop)
    helpers = [asyncio.create_task(make()) for make in beside]
    helpers.append(asyncio.create_task(_call_on(stop, on_stop)))
    working = asyncio.create_task(work(stop))
    working.add_done_callback(lambda _: stop.set())
    try:
        await serve(process.app, service, process.readiness, stop)
        # A thread needs this loop for its last batch, so the loop must wait for it.
        async with asyncio.timeout(service.shutdown_grace_seconds):
            await asyncio.shield(working)
    except TimeoutError:
        log.warning("batch_abandoned", grace_seconds=service.shutdown_grace_seconds)
    finally:
        on_stop()
        for task in (*helpers, working):
            task.cancel()
        await asyncio.gather(*helpers, working, return_exceptions=True)


async def together(stop: asyncio.Event, *parts: Coroutine[Any, Any, object]) -> None:
    """Run the parts of a service, each to its end. The first to end, be it that it broke, has the
    others told to stop: without it they are no service. Raises what broke."""

    async def run(part: Coroutine[Any, Any, object]) -> None:
        try:
            await part
        finally:
            stop.set()

    for ended in await asyncio.gather(*map(run, parts), return_exceptions=True):
        if isinstance(ended, BaseException):
            raise ended


async def _call_on(stop: asyncio.Event, call: Callable[[], None]) -> None:
    await stop.wait()
    call()

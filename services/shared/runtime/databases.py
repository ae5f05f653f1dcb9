"""What clients of every kind of database have in common, whichever driver they use."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Gauge

from services.shared.runtime import certificates
from services.shared.runtime.logging import get_logger
from services.shared.runtime.settings import DatabaseSettings

log = get_logger(__name__)

C = TypeVar("C")


class DatabaseUnavailableError(Exception):
    """The database could not be asked, or its answer got lost; the outcome of a write is open."""


def tls_context(ca_file: str) -> ssl.SSLContext:
    """verify-full: the chain must end in our CA and the certificate must name the host."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    certificates.watch_servers(context)
    certificates.watch_bundle(ca_file)
    return context


async def connected_within(
    seconds: float,
    settings: DatabaseSettings,
    connect: Callable[[], Awaitable[C]],
    is_unavailable: Callable[[BaseException], bool],
) -> C:
    """connect(), again and again while the server is away or does not let us in yet.

    Raises DatabaseUnavailableError, which says for how long and why, when `seconds` are over.
    """
    deadline = time.monotonic() + seconds
    pause = 0.1
    while True:
        try:
            return await connect()
        except Exception as error:
            if not is_unavailable(error):
                raise
            if time.monotonic() + pause > deadline:
                raise DatabaseUnavailableError(
                    f"{settings.name} on {settings.host}:{settings.port} did not let"
                    f" {settings.user} in within {seconds:g} s ({type(error).__name__}: {error})"
                ) from error
            log.info("waiting_for_database", error=type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)


_gauges: WeakKeyDictionary[CollectorRegistry, Gauge] = WeakKeyDictionary()


def watch_pool(
    registry: CollectorRegistry,
    settings: DatabaseSettings,
    size: Callable[[], int],
    idle: Callable[[], int],
) -> None:
    """Show a pool as a metric: its connections are counted by `size`, the idle ones by `idle`."""
    # One for all pools of a process: a registry takes a name once.
    if registry not in _gauges:
        _gauges[registry] = Gauge(
            "db_pool_connections",
            "Connections of a database's pool: in_use, idle, and the limit max.",
            ["database", "state"],
            registry=registry,
        )
    gauge = _gauges[registry]
    gauge.labels(settings.name, "in_use").set_function(lambda: size() - idle())
    gauge.labels(settings.name, "idle").set_function(idle)
    gauge.labels(settings.name, "max").set(settings.pool_size)

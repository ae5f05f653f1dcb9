"""A steady stream of requests of every kind, and every one of them that was not answered well."""

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from bootstrap.checkout import Checkout
from loadtests import tokens, traffic
from loadtests.telemetry.client import PATH as POINTS

_CONNECTIONS = 32
_TIMEOUT = 15.0
_MADE_UP = 0.5
"""Seconds. A clock that looks two hundred times a second is often a little late."""

Call = Callable[[], Awaitable[httpx.Response]]


@dataclass
class Steady:
    """So many requests a second, whatever the answers take; fewer where the machine is too slow."""

    checkout: Checkout
    shown: tokens.Tokens
    per_second: int
    prefix: str
    answered: Counter[str] = field(default_factory=Counter[str])
    """Kind of request to how many went well."""
    failed: list[str] = field(default_factory=list[str])
    error: BaseException | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    def finish(self) -> None:
        self._stop.set()

    @property
    def count(self) -> int:
        return sum(self.answered.values())

    def run(self) -> None:
        """Until finish() is called."""
        try:
            asyncio.run(self._requests())
        except BaseException as error:  # handed to the test's own thread
            self.error = error

    async def _requests(self) -> None:
        async with (
            self._client("http") as rest,
            self._client("data") as ingest,
            self._client("auth", show=False) as auth,
        ):
            await self._on_the_clock(self._kinds(rest, ingest, auth))

    async def _on_the_clock(self, kinds: Iterator[tuple[str, int, Call]]) -> None:
        due = time.monotonic()
        async with asyncio.TaskGroup() as group:
            while True:
                # What is later is not made up for: a burst would be another load than asked.
                due = max(due + 1 / self.per_second, time.monotonic() - _MADE_UP)
                await asyncio.sleep(max(0, due - time.monotonic()))
                if self._stop.is_set():
                    return
                group.create_task(self._one(*next(kinds)))

    async def _one(self, kind: str, expected: int, call: Call) -> None:
        at = time.strftime("%H:%M:%S")
        try:
            answer = await call()
        except httpx.HTTPError as error:
            self.failed.append(f"{at} {kind}: {type(error).__name__} {error}")
            return
        if answer.status_code == expected:
            self.answered[kind] += 1
        else:
            self.failed.append(f"{at} {kind}: {answer.status_code} {answer.text[:200]}")

    def _kinds(
        self, rest: httpx.AsyncClient, ingest: httpx.AsyncClient, auth: httpx.AsyncClient
    ) -> Iterator[tuple[str, int, Call]]:
        """Every kind in turn: each of the platform's servers is asked by somebody."""
        form = {"grant_type": "client_credentials", "scope": " ".join(self.shown.scopes)}
        secret = (self.shown.client_id, self.shown.secret)
        for number in itertools.count():
            name = f"{self.prefix}-{number}"
            body = {"id": name, "value": number}
            yield "create", 201, lambda name=name: rest.post(traffic.RESOURCES, json={"name": name})
            yield "list", 200, lambda: rest.get(traffic.RESOURCES, params={"limit": 1})
            yield "document", 202, lambda body=body: ingest.post("/api/data", json=body)
            yield "read", 200, lambda: ingest.get("/api/data", params={"limit": 1})
            asked = {"device_id": name, "consistency": "strong"}
            yield "points", 200, lambda asked=asked: ingest.get(POINTS, params=asked)
            yield "token", 200, lambda: auth.post("/oauth/token", data=form, auth=secret)

    def _client(self, entry: str, *, show: bool = True) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=traffic.base_url(self.checkout, entry),
            auth=tokens.Shown(self.shown) if show else None,
            timeout=_TIMEOUT,
            limits=httpx.Limits(
                max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS
            ),
            trust_env=False,
        )


@contextmanager
def steady(
    checkout: Checkout, shown: tokens.Tokens, prefix: str, per_second: int = 200
) -> Iterator[Steady]:
    """It runs for as long as the block does; the last answers are in when the block is left."""
    running = Steady(checkout, shown, per_second, prefix)
    thread = threading.Thread(target=running.run, name="steady", daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.finish()
        thread.join(timeout=2 * _TIMEOUT)
    assert not thread.is_alive(), "requests are still on their way"
    if running.error is not None:
        raise running.error

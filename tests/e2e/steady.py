"""A steady stream of calls of every kind, and every one of them that was not answered well."""

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import httpx

from bootstrap.checkout import Checkout
from loadtests import tokens, traffic
from loadtests.telemetry.client import PATH as POINTS

_CONNECTIONS = 32
TIMEOUT = 15.0
_MADE_UP = 0.5
"""Seconds. A clock that looks two hundred times a second is often a little late."""

_Request = Callable[[], Awaitable[httpx.Response]]
Call = Callable[[], Awaitable[str]]
"""Gives what is wrong with the answer; nothing, if that is as it should be."""


@dataclass(kw_only=True)
class Clocked:
    """So many calls a second, whatever the answers take; fewer where the machine is too slow."""

    per_second: int
    answered: Counter[str] = field(default_factory=Counter[str])
    """Kind of call to how many went well."""
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
            asyncio.run(self.calls())
        except BaseException as error:  # handed to the test's own thread
            self.error = error

    async def calls(self) -> None:
        """Opens what it takes, and gives on_the_clock() the calls."""
        raise NotImplementedError

    async def on_the_clock(self, calls: Iterator[tuple[str, Call]]) -> None:
        """One after the other, each by its kind, and all of them to their end."""
        due = time.monotonic()
        async with asyncio.TaskGroup() as group:
            while True:
                # What is later is not made up for: a burst would be another load than asked.
                due = max(due + 1 / self.per_second, time.monotonic() - _MADE_UP)
                await asyncio.sleep(max(0, due - time.monotonic()))
                if self._stop.is_set():
                    return
                group.create_task(self.one(*next(calls)))

    async def one(self, kind: str, call: Call) -> None:
        """Make it, and note how it ended."""
        at = time.strftime("%H:%M:%S")
        if wrong := await call():
            self.failed.append(f"{at} {kind}: {wrong}")
        else:
            self.answered[kind] += 1


@dataclass(kw_only=True)
class Steady(Clocked):
    """Requests of every kind."""

    checkout: Checkout
    shown: tokens.Tokens
    prefix: str

    async def calls(self) -> None:
        async with (
            self._client("http") as rest,
            self._client("data") as ingest,
            self._client("auth", show=False) as auth,
        ):
            await self.on_the_clock(
                (kind, lambda expected=expected, request=request: _asked(expected, request))
                for kind, expected, request in self._kinds(rest, ingest, auth)
            )

    def _kinds(
        self, rest: httpx.AsyncClient, ingest: httpx.AsyncClient, auth: httpx.AsyncClient
    ) -> Iterator[tuple[str, int, _Request]]:
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
            timeout=TIMEOUT,
            limits=httpx.Limits(
                max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS
            ),
            trust_env=False,
        )


async def _asked(expected: int, request: _Request) -> str:
    try:
        answer = await request()
    except httpx.HTTPError as error:
        return f"{type(error).__name__} {error}"
    return "" if answer.status_code == expected else f"{answer.status_code} {answer.text[:200]}"


C = TypeVar("C", bound=Clocked)


@contextmanager
def under_way(calls: C) -> Iterator[C]:
    """They go on for as long as the block lasts; the last answers are in when it is left."""
    thread = threading.Thread(target=calls.run, name="steady", daemon=True)
    thread.start()
    try:
        yield calls
    finally:
        calls.finish()
        thread.join(timeout=2 * TIMEOUT)
    assert not thread.is_alive(), "requests are still on their way"
    if calls.error is not None:
        raise calls.error


def steady(
    checkout: Checkout, shown: tokens.Tokens, prefix: str, per_second: int = 200
) -> AbstractContextManager[Steady]:
    """Requests of every kind while the block lasts."""
    return under_way(Steady(per_second=per_second, checkout=checkout, shown=shown, prefix=prefix))

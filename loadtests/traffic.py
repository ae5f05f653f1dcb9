"""A small load generator: streams of writes to the resources API, each noted in a ledger.

Only for this checkout's own published port on the loopback address.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from bootstrap.checkout import Checkout
from loadtests import tokens
from loadtests.ledger import Ledger, Write
from loadtests.outcome import Outcome
from loadtests.pace import Pace

RESOURCES = "/api/v1/resources"
REQUEST_TIMEOUT = 15.0
_EXPECTED = {"create": 201, "update": 200, "delete": 204}


def base_url(checkout: Checkout, entry: str = "http") -> str:
    """Where an entry of the stack answers on this machine; rest-service's unless named."""
    return f"http://127.0.0.1:{checkout.port(entry)}"


def client(checkout: Checkout, connections: int = 32) -> httpx.AsyncClient:
    """A client for rest-service; proxies of the environment are left alone (loopback only)."""
    return httpx.AsyncClient(
        base_url=base_url(checkout),
        auth=tokens.auth_of(checkout),
        timeout=httpx.Timeout(REQUEST_TIMEOUT, connect=5.0),
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        trust_env=False,
    )


@dataclass(frozen=True)
class Stream:
    """``resources`` life cycles of one create, ``updates`` updates and, if asked, a delete.

    ``prefix`` starts every name and marker and must be new for every run; at most
    ``concurrency`` resources are written at once, each by one writer, so that its order is known.
    ``per_second`` is the most requests a second; None is as fast as the answers come.
    """

    prefix: str
    resources: int
    updates: int = 3
    delete: bool = True
    concurrency: int = 16
    per_second: float | None = None

    @property
    def writes(self) -> int:
        """How many writes the whole stream makes."""
        return self.resources * (1 + self.updates + int(self.delete))


@dataclass
class Traffic:
    """The running stream: ``answered`` grows with every answer; ``ids`` are the created ones.

    Once ``enough`` is set no further resource is begun.
    """

    http: httpx.AsyncClient
    ledger: Ledger
    answered: int = 0
    ids: list[str] = field(default_factory=list[str])
    on_answer: Callable[[int], None] = lambda _answered: None
    pace: Pace = field(default_factory=lambda: Pace(None))
    enough: bool = False

    async def run(self, stream: Stream) -> None:
        """Write the whole stream; ends when every write has an outcome.

        A writer leaves its resource alone once an outcome is not an acknowledgement: the order
        of what follows could not be judged.
        """
        numbers = iter(range(stream.resources))
        self.pace = Pace(stream.per_second)

        async def writer() -> None:
            for number in numbers:
                if self.enough:
                    return
                await self._life_cycle(stream, number)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(stream.concurrency, stream.resources)):
                group.create_task(writer())

    async def _life_cycle(self, stream: Stream, number: int) -> None:
        name = f"{stream.prefix}-{number}"
        created = await self.create(name, f"{name}-create")
        if created.outcome is not Outcome.ACKED or created.resource_id is None:
            return
        for update in range(stream.updates):
            done = await self.update(created.resource_id, name, f"{name}-update-{update}")
            if done.outcome is not Outcome.ACKED:
                return
        if stream.delete:
            await self.delete(created.resource_id, f"{name}-delete")

    async def create(self, name: str, marker: str) -> Write:
        """POST one resource whose description is the marker."""
        return await self._send("create", None, marker, {"name": name, "description": marker})

    async def update(self, resource_id: str, name: str, marker: str) -> Write:
        """PUT a resource; the description becomes the marker."""
        body = {"name": name, "description": marker, "status": "active"}
        return await self._send("update", resource_id, marker, body)

    async def delete(self, resource_id: str, marker: str) -> Write:
        """DELETE a resource; the marker only names the write in the ledger."""
        return await self._send("delete", resource_id, marker, None)

    async def _send(
        self, kind: str, resource_id: str | None, marker: str, body: dict[str, str] | None
    ) -> Write:
        await asyncio.sleep(self.pace.delay(time.monotonic()))
        write = self.ledger.sent(Write(kind, marker, resource_id, sent_at=time.time()))
        method = {"create": "POST", "update": "PUT", "delete": "DELETE"}[kind]
        path = RESOURCES if resource_id is None else f"{RESOURCES}/{resource_id}"
        try:
            response = await self.http.request(method, path, json=body)
        except httpx.HTTPError as error:
            write.outcome, write.answer = failure(error)
        else:
            write.outcome = classify(kind, response.status_code)
            write.answer = str(response.status_code)
            if write.outcome is Outcome.ACKED and response.content:
                _note_body(write, response.json())
        write.answered_at = time.time()
        if kind == "create" and write.resource_id is not None:
            self.ids.append(write.resource_id)
        self.answered += 1
        self.on_answer(self.answered)
        return write


def _note_body(write: Write, body: dict[str, Any]) -> None:
    write.resource_id = str(body["id"])
    write.version = body.get("version")


def classify(kind: str, status: int) -> Outcome:
    """The outcome that an HTTP status stands for.

    A 5xx may come after the commit (the answer of the database got lost), so it is UNKNOWN.
    """
    if status == _EXPECTED[kind]:
        return Outcome.ACKED
    return Outcome.REFUSED if 400 <= status < 500 else Outcome.UNKNOWN


def failure(error: httpx.HTTPError) -> tuple[Outcome, str]:
    """Outcome and text for a request without an answer: refused only if it was never sent."""
    never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    outcome = Outcome.REFUSED if never_sent else Outcome.UNKNOWN
    return outcome, f"{type(error).__name__}: {error}".rstrip(": ")

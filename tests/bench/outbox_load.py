"""Writers of an outbox, ours or a rival's, and what became of their events."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import Message

from services.contracts.ids import new_id
from services.shared.outbox.lanes import lane_of
from services.shared.postgres.database import connect
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.kafka_container import Reader, headers_of
from tests.integration.outbox_relay.outbox import versions_by_key

WRITERS, KEYS = 8, 500
PAYLOAD = '{"id": "k", "name": "benchmark", "description": "%s", "status": "active"}' % ("x" * 150)


@dataclass(frozen=True)
class Outbox:
    """A table of events and how it is written to: `$1` id, `$2` lane, `$3` key, `$4` version within
    the key, `$5` payload."""

    database: DatabaseSettings
    insert: str
    notify: str
    """What tells its relay, in the transaction of what was inserted."""
    unsent: str
    """Whether there is any that was not sent."""


class Load:
    """Events of keys that nobody else writes, so that versions are counted without a lock."""

    def __init__(self, outbox: Outbox, name: str) -> None:
        self._outbox = outbox
        self._name = name
        self.committed: dict[str, float] = {}
        """When the transaction of each event had ended, in seconds since 1970."""
        self.versions: dict[str, int] = {}

    async def steady(self, rate: float, seconds: float) -> None:
        """Open loop: an event is due at its time whether or not earlier ones are done."""
        start = time.monotonic() + 0.5
        await asyncio.gather(*(self._writer(n, start, rate, seconds) for n in range(WRITERS)))

    async def _writer(self, number: int, start: float, rate: float, seconds: float) -> None:
        connection = await connect(self._outbox.database, "bench")
        write = f"WITH e AS ({self._outbox.insert} RETURNING id) {self._outbox.notify} FROM e"
        keys = [f"{self._name}-{n}" for n in range(number, KEYS, WRITERS)]
        step = WRITERS / rate
        for n in range(int(seconds * rate / WRITERS)):
            await asyncio.sleep(max(0.0, start + n * step - time.monotonic()))
            event = self._next(keys[n % len(keys)])
            await connection.fetch(write, *event)
            self.committed[event[0]] = time.time()
        await connection.close()

    async def backlog(self, count: int) -> None:
        """So many events in one transaction."""
        connection = await connect(self._outbox.database, "bench")
        async with connection.transaction():
            rows = [self._next(f"{self._name}-{n % KEYS}") for n in range(count)]
            await connection.executemany(self._outbox.insert, rows)
            await connection.execute(self._outbox.notify)
        await connection.close()

    def _next(self, key: str) -> tuple[str, int, str, int, str]:
        self.versions[key] = self.versions.get(key, 0) + 1
        return new_id(), lane_of(key), key, self.versions[key], PAYLOAD

    async def sent(self, seconds: float) -> None:
        """Wait until none is left."""
        connection = await connect(self._outbox.database, "bench")
        deadline = time.monotonic() + seconds
        while await connection.fetchval(self._outbox.unsent):
            assert time.monotonic() < deadline, "the relay did not keep up"
            await asyncio.sleep(0.1)
        await connection.close()

    def judged(self, messages: Sequence[Message]) -> dict[str, int]:
        """How many keys lost events, how many have them in another order, and what came twice."""
        found = versions_by_key(list(messages), set(self.versions))
        wrong = {key for key, last in self.versions.items() if found.get(key) != _to(last)}
        lost = {key for key in wrong if sorted(found.get(key, ())) != _to(self.versions[key])}
        keys = {key.encode() for key in self.versions}
        own = sum(message.key() in keys for message in messages)
        return {
            "keys_with_a_loss": len(lost),
            "keys_out_of_order": len(wrong - lost),
            "repeats": own - sum(len(some) for some in found.values()),
        }


def _to(last: int) -> list[int]:
    return list(range(1, last + 1))


async def arrivals(reader: Reader, arrived: dict[str, float]) -> None:
    """For ever: when an independent consumer had each event, in seconds since 1970."""
    seen = 0
    while True:
        await reader.take(0.02)
        now = time.time()
        for message in reader.messages[seen:]:
            arrived.setdefault(headers_of(message)["event_id"], now)
        seen = len(reader.messages)


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Of seconds, in milliseconds."""
    cuts = statistics.quantiles(values, n=1000)
    shown = {f"p{q:g}_ms": cuts[int(q * 10) - 1] * 1000 for q in (50, 95, 99, 99.9)}
    return {name: round(value, 1) for name, value in shown.items()}

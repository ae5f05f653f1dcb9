"""Writes an outbox as rest-service does, and asks it how far it is."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import asyncpg
from confluent_kafka import Message

from services.contracts.ids import new_id
from services.contracts.topics import RESOURCE_CREATED
from services.shared.outbox.lanes import lane_of
from services.shared.postgres.database import connect
from services.shared.runtime.settings import DatabaseSettings
from tests.integration.authority import PATIENCE
from tests.integration.kafka_container import Reader, headers_of

_INSERT = """
INSERT INTO outbox_events (id, lane, aggregate_id, aggregate_version, event_type, payload,
                           correlation_id, traceparent)
VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8)
"""
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Outbox:
    """One connection to a restdb; versions are counted per key as the writer would."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.versions: defaultdict[str, int] = defaultdict(int)
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, settings: DatabaseSettings) -> Outbox:
        return cls(await connect(settings, "test-outbox", connect_timeout=PATIENCE))

    async def write(
        self,
        *keys: str,
        event_type: str = RESOURCE_CREATED,
        payload: str = '{"status": "active"}',
        notify: bool = True,
    ) -> list[str]:
        """One event for each of `keys` in one transaction; the event ids."""
        ids: list[str] = []
        async with self._turn, self.connection.transaction():
            rows: list[tuple[object, ...]] = []
            for key in keys:
                self.versions[key] += 1
                ids.append(new_id())
                rows.append(
                    (
                        ids[-1],
                        lane_of(key),
                        key,
                        self.versions[key],
                        event_type,
                        payload,
                        f"correlation-{key}",
                        TRACEPARENT,
                    )
                )
            await self.connection.executemany(_INSERT, rows)
            if notify:
                await self.connection.execute("NOTIFY outbox")
        return ids

    async def value(self, query: str, *args: object) -> object:
        async with self._turn:
            return await self.connection.fetchval(query, *args)

    async def unsent(self) -> int:
        found = await self.value("SELECT count(*) FROM outbox_events WHERE processed_at IS NULL")
        assert isinstance(found, int)
        return found

    async def all_sent(self) -> bool:
        return await self.unsent() == 0

    async def leased_lanes(self) -> dict[str, int]:
        """Live leases by owner."""
        async with self._turn:
            rows = await self.connection.fetch(
                "SELECT owner, count(*) AS lanes FROM relay_lease"
                " WHERE expires_at > clock_timestamp() GROUP BY owner"
            )
        return {row["owner"]: row["lanes"] for row in rows}

    async def parked_keys(self) -> list[str]:
        async with self._turn:
            rows = await self.connection.fetch("SELECT aggregate_id FROM outbox_parked")
        return [row["aggregate_id"] for row in rows]


def key_of(message: Message) -> str:
    key = message.key()
    assert isinstance(key, bytes)
    return key.decode()


def versions_by_key(messages: list[Message], keys: set[str]) -> dict[str, list[int]]:
    """Per key the versions in the order of the log, each at its first appearance."""
    order: defaultdict[str, list[int]] = defaultdict(list)
    seen: set[str] = set()
    # One key lies in one partition of a topic, so the offset is its order.
    for message in sorted(messages, key=lambda m: m.offset() or 0):
        headers = headers_of(message)
        key = key_of(message)
        if key in keys and headers["event_id"] not in seen:
            seen.add(headers["event_id"])
            order[key].append(int(headers["aggregate_version"]))
    return dict(order)


async def complete(reader: Reader, keys: set[str], total: int) -> bool:
    """Whether `total` events of `keys` are there, each counted once however often it was sent."""
    await reader.take()
    return sum(len(found) for found in versions_by_key(reader.messages, keys).values()) == total

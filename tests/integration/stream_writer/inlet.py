"""The stream as whoever accepts documents fills it, and the table that they end up in."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

import asyncpg
from redis.asyncio import Redis

from services.shared.postgres.database import connect
from services.shared.runtime.settings import DatabaseSettings
from services.shared.stream import names
from tests.integration.authority import PATIENCE

_ADD = """
local entry = redis.call('XADD', KEYS[1], '*', 'id', ARGV[1], 'doc', unpack(ARGV, 2))
redis.call('HSET', KEYS[2], 'e', entry, 'd', ARGV[2])
return entry
"""


class Inlet:
    """Accepts documents by hand, as a user that may do everything."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self._add = redis.register_script(_ADD)

    async def add(self, document_id: str, document: object = None, **fields: str | bytes) -> str:
        """Accept one document; its entry. Strings and bytes are taken for JSON as they are."""
        raw = document if isinstance(document, str | bytes) else json.dumps(document or {})
        more = [part for pair in fields.items() for part in pair]
        entry = await self._add(
            keys=[names.STREAM, names.PENDING + document_id], args=[document_id, raw, *more]
        )
        return entry.decode()

    async def add_many(self, documents: Iterable[tuple[str, object]]) -> list[str]:
        """Accept many in one transaction: all of them or none, and in this order."""
        pipeline = self.redis.pipeline(transaction=True)
        for document_id, document in documents:
            pipeline.xadd(names.STREAM, {"id": document_id, "doc": json.dumps(document)})
        entries: Any = await pipeline.execute()
        return [entry.decode() for entry in entries]

    async def length(self) -> int:
        return await self.redis.xlen(names.STREAM)

    async def empty(self) -> bool:
        return await self.length() == 0

    async def pending(self) -> int:
        return (await self.redis.xpending(names.STREAM, names.GROUP))["pending"]

    async def pending_keys(self) -> list[str]:
        return sorted(
            cast(bytes, key).decode() for key in await self.redis.keys(names.PENDING + "*")
        )

    async def in_hand(self, consumer: str | None = None) -> list[dict[str, Any]]:
        """Entries that a consumer, or anybody, was given and has not settled."""
        try:
            found: Any = await self.redis.xpending_range(
                names.STREAM, names.GROUP, "-", "+", 10_000, consumername=consumer
            )
        except Exception as error:
            if "NOGROUP" in str(error):
                return []
            raise
        return found

    async def consumers(self) -> set[str]:
        found: Any = await self.redis.xinfo_consumers(names.STREAM, names.GROUP)
        return {about["name"].decode() for about in found}

    async def dead(self) -> list[dict[str, str]]:
        """Dead letters, oldest first, with the id of each as `letter`."""
        found: Any = await self.redis.xrange(names.DEAD)
        return [
            {"letter": letter.decode()}
            | {name.decode(): value.decode(errors="replace") for name, value in fields.items()}
            for letter, fields in found
        ]


class Documents:
    """The table `documents`, also after its server was away."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._connection: asyncpg.Connection | None = None

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(
                self._settings, "test-documents", connect_timeout=PATIENCE
            )
        return await self._connection.fetch(query, *args)

    async def close(self) -> None:
        if self._connection:
            await self._connection.close()

    async def all(self) -> dict[str, Any]:
        rows = await self.fetch("SELECT id, document FROM documents")
        return {row["id"]: json.loads(row["document"]) for row in rows}

    async def count(self) -> int:
        [row] = await self.fetch("SELECT count(*) FROM documents")
        return row[0]

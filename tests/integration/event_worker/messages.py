"""Messages as the relay sends them, and rows as the worker leaves them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence

import asyncpg
from confluent_kafka import Producer

from services.contracts.ids import new_id
from services.contracts.topics import RESOURCE_CREATED, RESOURCE_DELETED, RESOURCE_UPDATED
from tests.integration.kafka_container import SEND_SECONDS, KafkaServer

TYPES = {"c": RESOURCE_CREATED, "u": RESOURCE_UPDATED, "d": RESOURCE_DELETED}


class Sender:
    """Sends events and waits until Kafka has them."""

    def __init__(self, server: KafkaServer) -> None:
        self._producer: Producer = server.producer()
        self._failures: list[object] = []

    def send(
        self,
        topic: str,
        key: str | None,
        payload: object = None,
        *,
        version: int | str | None = None,
        event_id: str | None = None,
        value: bytes | None = None,
        headers: Mapping[str, str | bytes] | None = None,
        partition: int = -1,
    ) -> str:
        """One message, not flushed; the event id. `value` and `headers` replace what is built.

        partition: -1 for that of the key.
        """
        event_id = event_id or new_id()
        built: dict[str, str | bytes | None] = {
            "event_id": event_id,
            "event_type": topic,
            "correlation_id": f"correlation-{key}",
        }
        if version is not None:
            built["aggregate_version"] = str(version)
        if headers is not None:
            built = dict(headers)
        body = json.dumps({"id": key} if payload is None else payload).encode()
        self._producer.produce(
            topic,
            key=key,
            value=body if value is None else value,
            headers=built,
            partition=partition,
            on_delivery=lambda error, _: self._failures.append(error) if error else None,
        )
        self._producer.poll(0)
        return event_id

    def resource(self, key: str, verb: str, version: int, partition: int = -1) -> str:
        """`verb`: c, u or d."""
        return self.send(TYPES[verb], key, version=version, partition=partition)

    def flush(self) -> None:
        assert self._producer.flush(2 * SEND_SECONDS) == 0
        assert self._failures == []


class Rows:
    """What is in a workerdb."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def all(self) -> Sequence[asyncpg.Record]:
        return await self.connection.fetch(
            "SELECT id::text AS id, seq, event_type, resource_id, task_id, action, payload,"
            " aggregate_version, correlation_id, processed_at FROM processed_events ORDER BY seq"
        )

    async def count(self, table: str = "processed_events") -> int:
        return await self.connection.fetchval(f"SELECT count(*) FROM {table}")

    async def versions(self) -> dict[str, list[int]]:
        """Per resource the versions in the order in which they took effect."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for row in await self.all():
            found[row["resource_id"]].append(row["aggregate_version"])
        return dict(found)

    async def held_long_ago(self, condition: str = "true") -> None:
        """Past any deadline, without waiting for it."""
        await self.connection.execute(
            f"UPDATE inbox_held SET held_at = now() - interval '1 day' WHERE {condition}"
        )

    async def slow_down(self, table: str, when: str, seconds: float) -> None:
        """Let the server sleep for every row of `table`. `when`: "BEFORE INSERT", for example."""
        row = "OLD" if "DELETE" in when else "NEW"
        await self.connection.execute(
            f"CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN PERFORM pg_sleep({seconds}); RETURN {row}; END $$;"
            f" CREATE TRIGGER slow {when} ON {table} FOR EACH ROW EXECUTE FUNCTION sleep()"
        )

    def reach(self, count: int, table: str = "processed_events") -> Callable[[], Awaitable[bool]]:
        async def reached() -> bool:
            return await self.count(table) == count

        return reached

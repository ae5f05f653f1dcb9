"""Points as ingest-service sends them, and rows as the writers leave them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from confluent_kafka import Producer

from services.contracts.topics import TELEMETRY_POINTS
from tests.integration.kafka_container import SEND_SECONDS, KafkaServer
from tests.integration.servers import MySQLServer

START = datetime(2026, 1, 1, tzinfo=UTC)
TOGETHER = {"linger.ms": 10_000}
"""For a sender whose points of one partition reach the broker, and so the writer, all at once when
they are flushed: not some of them before this process got time for the others."""
Rows = dict[tuple[str, str, str], tuple[float, int]]
"""Device, metric and time to value and version."""


class Sender:
    """Sends points and waits until Kafka has them."""

    def __init__(self, server: KafkaServer, **changes: Any) -> None:
        """changes: settings of its client, as librdkafka calls them."""
        self._producer: Producer = server.producer(**changes)
        self._failures: list[object] = []
        self.newest: Rows = {}
        """What the table should hold of all that was sent as a point."""

    def point(
        self,
        device: str,
        value: float,
        version: int,
        *,
        second: int = 0,
        metric: str = "temperature",
        partition: int = -1,
    ) -> None:
        """One point, not flushed. partition: -1 for that of the key."""
        ts = START + timedelta(seconds=second)
        body = {
            "device_id": device,
            "metric": metric,
            "ts": f"{ts:%Y-%m-%dT%H:%M:%S.%fZ}",
            "value": value,
            "version": version,
        }
        self.send(device.encode(), json.dumps(body).encode(), partition)
        key = (device, metric, f"{ts:%Y-%m-%d %H:%M:%S.%f}")
        if key not in self.newest or version > self.newest[key][1]:
            self.newest[key] = (value, version)

    def send(self, key: bytes | None, value: bytes | None, partition: int = -1) -> None:
        """One message, whatever it holds."""
        self._producer.produce(
            TELEMETRY_POINTS,
            key=key,
            value=value,
            partition=partition,
            on_delivery=lambda error, _: self._failures.append(error) if error else None,
        )
        self._producer.poll(0)

    def flush(self) -> None:
        assert self._producer.flush(2 * SEND_SECONDS) == 0
        assert self._failures == []


class Table:
    """The table of points, as an administrator sees it."""

    def __init__(self, server: MySQLServer, database: str) -> None:
        self._server = server
        self._database = database

    async def do(self, statement: str) -> list[dict[str, Any]]:
        return await self._server.as_admin(statement, self._database)

    async def rows(self) -> Rows:
        found = await self.do("SELECT device_id, metric, ts, value, version FROM telemetry")
        return {
            (row["device_id"], row["metric"], f"{row['ts']:%Y-%m-%d %H:%M:%S.%f}"): (
                row["value"],
                row["version"],
            )
            for row in found
        }

    async def count(self) -> int:
        return (await self.do("SELECT COUNT(*) AS n FROM telemetry"))[0]["n"]

    def reach(self, count: int) -> Callable[[], Awaitable[bool]]:
        async def reached() -> bool:
            return await self.count() == count

        return reached

    def equals(self, sender: Sender) -> Callable[[], Awaitable[bool]]:
        async def equal() -> bool:
            return await self.count() == len(sender.newest) and await self.rows() == sender.newest

        return equal

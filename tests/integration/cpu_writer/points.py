"""Points as ingest-service sends them, beside the table as async-writer leaves it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from confluent_kafka import Producer

from services.contracts.topics import TELEMETRY_POINTS
from tests.harness import rollups_sql
from tests.integration.kafka_container import PARTITIONS, SEND_SECONDS, KafkaServer
from tests.integration.servers import MySQLServer, eventually

WINDOW, GRACE = 10, 5
"""Seconds, of the writers under test."""
TOGETHER = {"linger.ms": 10_000}
"""For a sender whose points of one partition reach the broker, and so the writer, all at once when
they are flushed: not some of them so long before the others that their window is closed."""


class Point(NamedTuple):
    """ts: seconds since 1970."""

    device: str
    metric: str
    ts: float
    value: float
    version: int


class Sender:
    """Sends points and waits until Kafka has them."""

    def __init__(self, server: KafkaServer, **changes: Any) -> None:
        """changes: settings of its client, as librdkafka calls them."""
        self._producer: Producer = server.producer(**changes)
        self._failures: list[object] = []

    def points(self, points: Iterable[Point], *, stamp: float | None = None) -> None:
        """Send them, as messages of the time `stamp` (seconds since 1970), or each of its own."""
        for it in points:
            body = {
                "device_id": it.device,
                "metric": it.metric,
                "ts": _text(it.ts, "T") + "Z",
                "value": it.value,
                "version": it.version,
            }
            self.message(it.device.encode(), json.dumps(body).encode(), stamp or it.ts)
        self.flush()

    def end(self, last: float) -> None:
        """Say in every partition that the windows of points up to `last` are over: by a point of a
        later one, which is in no table for as long as that is open."""
        ts = last + WINDOW + GRACE + 1
        it = {"device_id": "end", "metric": "end", "ts": _text(ts, "T") + "Z"}
        body = json.dumps(it | {"value": 0.5, "version": 1}).encode()
        for partition in range(PARTITIONS):
            self.message(b"end", body, ts, partition)
        self.flush()

    def message(
        self, key: bytes | None, value: bytes | None, stamp: float, partition: int = -1
    ) -> None:
        """One message, whatever it holds; not flushed. partition: -1 for that of the key."""
        while True:
            try:
                self._producer.produce(
                    TELEMETRY_POINTS,
                    key=key,
                    value=value,
                    partition=partition,
                    timestamp=int(stamp * 1000),
                    on_delivery=lambda error, _: self._failures.append(error) if error else None,
                )
            except BufferError:
                self._producer.poll(0.1)
                continue
            self._producer.poll(0)
            return

    def flush(self) -> None:
        assert self._producer.flush(2 * SEND_SECONDS) == 0
        assert self._failures == []


class Tables:
    """The tables, as an administrator sees them."""

    def __init__(self, server: MySQLServer, database: str) -> None:
        self._server = server
        self._database = database

    async def do(self, statement: str) -> list[dict[str, Any]]:
        return await self._server.as_admin(statement, self._database)

    async def store(self, points: Iterable[Point]) -> None:
        """What async-writer does with them: of each key the highest version stays."""
        newest: dict[tuple[str, str, str], Point] = {}
        for it in points:
            key = (it.device, it.metric, _text(it.ts, " "))
            if key not in newest or it.version > newest[key].version:
                newest[key] = it
        rows = [
            f"('{device}','{metric}','{ts}',{it.value!r},{it.version})"
            for (device, metric, ts), it in newest.items()
        ]
        for first in range(0, len(rows), 5000):
            await self.do("REPLACE INTO telemetry VALUES " + ",".join(rows[first : first + 5000]))

    async def wrong(self, condition: str = "TRUE") -> list[dict[str, Any]]:
        """Rollups that are not what MySQL makes of the table of points."""
        return await self.do(rollups_sql.differences(WINDOW, condition))

    async def rollups(self, device: str | None = None) -> list[dict[str, Any]]:
        where = f"WHERE device_id = '{device}'" if device else ""
        return await self.do(
            f"SELECT * FROM telemetry_rollups {where} ORDER BY device_id, metric, window_start"
        )

    async def come_right(self, seconds: float = 240) -> None:
        """Until the rollups are what MySQL makes of the table of points; says what is not."""
        deadline = time.monotonic() + seconds
        while wrong := await self.wrong():
            assert time.monotonic() < deadline, f"{len(wrong)} are wrong: {wrong[:10]}"
            await asyncio.sleep(0.2)

    async def holds(self, rollups: int) -> None:
        """Until there are so many rollups."""

        async def enough() -> bool:
            return len(await self.rollups()) >= rollups

        await eventually(enough)


def _text(ts: float, between: str) -> str:
    at = datetime.fromtimestamp(round(ts, 6), UTC)
    return f"{at:%Y-%m-%d}{between}{at:%H:%M:%S.%f}"

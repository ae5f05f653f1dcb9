"""Looks at the stream up to four times a second, over a connection of its own."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from services.ingest_service.admission import Gate, Level
from services.ingest_service.metrics import IngestMetrics
from services.shared.runtime.logging import get_logger
from services.shared.runtime.trouble import Trouble
from services.shared.stream import names

log = get_logger(__name__)

INTERVAL_SECONDS = 0.25
EMPTY_SECONDS = 0.7
"""After a look at an empty stream. What comes in until the next one is far below every mark, and
two looks without an answer still fit into the time for which the gate believes the last one."""


class StreamAwayError(Exception):
    """The last look is too old."""


class Watch:
    """Tells the gate what it sees. `redis` waits at most as long as a look may be old."""

    def __init__(self, redis: Redis, gate: Gate, metrics: IngestMetrics) -> None:
        self._redis = redis
        self._gate = gate
        self._metrics = metrics

    async def keep_looking(self, interval: float = INTERVAL_SECONDS) -> None:
        """For ever. Cancel it to stop."""
        trouble = Trouble()
        while True:
            pause = interval
            try:
                if await self.look() == 0:
                    pause = max(interval, EMPTY_SECONDS)
            except Exception as error:  # whatever it is: without this task the gate stays closed
                if trouble.worth_logging(type(error).__name__):
                    log.warning("stream_unknown", error=f"{type(error).__name__}: {error}")
            else:
                if trouble.over():
                    log.info("stream_known_again")
            await asyncio.sleep(pause)

    async def look(self) -> int:
        """Once; gives the entries there are. Raises RedisError or OSError without an answer."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.xlen(names.STREAM)
            pipe.memory_stats()
            pipe.xinfo_groups(names.STREAM)
            entries, memory, groups = await pipe.execute(raise_on_error=False)
        for answer in (entries, memory):
            if isinstance(answer, RedisError):
                raise answer
        used = int(memory["total.allocated"])
        self._gate.look(Level(entries, used))
        self._metrics.queue.set(entries)
        self._metrics.memory.set(used)
        self._metrics.lag.set(entries)
        self._metrics.pending.set(0)
        for group in _groups(groups):
            if group["name"] == names.GROUP.encode():
                lag = group.get("lag")  # None: the server cannot tell
                self._metrics.lag.set(entries - group["pending"] if lag is None else lag)
                self._metrics.pending.set(group["pending"])
        return entries

    async def check(self) -> None:
        """For /ready. Raises StreamAwayError."""
        if not self._gate.fresh:
            raise StreamAwayError


def _groups(answer: Any) -> list[dict[str, Any]]:
    if isinstance(answer, ResponseError):
        return []  # no entry was ever accepted, so there is no stream to have groups
    if isinstance(answer, RedisError):
        raise answer
    return answer

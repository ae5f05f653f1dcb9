"""The stream as its readers see it: new entries, and how much of it there is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from services.shared.runtime.logging import get_logger
from services.shared.stream import names
from services.stream_writer.entries import Delivery

log = get_logger(__name__)

# What is settled is taken out, so all that is there is pending or not delivered yet. Without a
# group nothing is pending.
_LOOK = """#!lua flags=no-writes
local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local now = redis.call('TIME')
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1])
return {
    redis.call('XLEN', KEYS[1]),
    not pending.err and pending[1] or 0,
    redis.call('XLEN', KEYS[2]),
    oldest and math.max(0, now[1] * 1000 + math.floor(now[2] / 1000)
                           - tonumber(string.match(oldest[1], '^%d+'))) or 0
}
"""
# Not a plain command: a full memory would refuse that, and nobody could empty the stream.
_CREATE = """#!lua flags=allow-oom
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if not made.err then return 1 end
if string.find(made.err, 'BUSYGROUP', 1, true) then return 0 end
return made
"""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is in the stream: all entries, those that a reader has in hand, and dead letters."""

    length: int
    pending: int
    dead: int
    oldest_seconds: float

    @property
    def lag(self) -> int:
        """Entries that nobody has been given yet."""
        return max(0, self.length - self.pending)


class Stream:
    """Raises what redis-py raises."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._create = redis.register_script(_CREATE)
        self._look = redis.register_script(_LOOK)
        self._met = False

    async def read(self, consumer: str, count: int, block_ms: int | None) -> list[Delivery]:
        """At most `count` entries that nobody was given yet; waits for the first `block_ms`."""
        try:
            answer: Any = await self._redis.xreadgroup(
                names.GROUP, consumer, {names.STREAM: ">"}, count=count, block=block_ms
            )
        except ResponseError as error:
            if is_lost(error):
                await self.create()
                return []
            raise
        self._met = True
        return [
            Delivery(entry.decode(), fields)
            for _, entries in answer or ()
            for entry, fields in entries
        ]

    async def create(self) -> None:
        """Make stream and group where they are missing. All entries are new to a new group."""
        # As of now: once it is made another loop may meet it before this one hears that it made it.
        met = self._met
        if await self._create(keys=[names.STREAM], args=[names.GROUP]):
            if met:
                log.error(
                    "stream_was_lost",
                    stream=names.STREAM,
                    meaning="the stream or its group is gone from Redis: what was accepted and not"
                    " written yet may be lost with it; both are made anew",
                )
            else:
                log.info("group_created", stream=names.STREAM, group=names.GROUP)
        self._met = True

    async def look(self) -> Backlog:
        """How much there is now."""
        length, pending, dead, oldest_ms = await self._look(
            keys=[names.STREAM, names.DEAD], args=[names.GROUP]
        )
        return Backlog(length, pending, dead, oldest_ms / 1000)


def is_lost(error: Exception) -> bool:
    """Whether Redis says that the stream or the group is not there."""
    said = str(error)
    return isinstance(error, ResponseError) and ("NOGROUP" in said or "UNBLOCKED" in said)


class Hold:
    """Keeps entries from being given to others while their reader works on them.

    renew() costs a look at the clock until a third of the time is over after which they would be.
    Entries that somebody else was given already stay with them.
    """

    def __init__(self, redis: Redis, consumer: str, claim_after: float) -> None:
        self._script = redis.register_script(_RENEW)
        self._consumer = consumer
        self._every = claim_after / 3
        self._entries: Sequence[str] = ()
        self._due = 0.0

    def take(self, entries: Sequence[str]) -> None:
        """Hold `entries` from now on, which were given to the consumer just now."""
        self._entries = entries
        self._due = time.monotonic() + self._every

    async def renew(self) -> None:
        """Say that they are being worked on, when it is time to. Raises what redis-py raises."""
        if not self._entries or time.monotonic() < self._due:
            return
        await self._script(keys=[names.STREAM], args=[names.GROUP, self._consumer, *self._entries])
        self._due = time.monotonic() + self._every


# JUSTID: it is no delivery.
_RENEW = """#!lua flags=allow-oom
for i = 3, #ARGV do
    if redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])[1] then
        redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
    end
end
return 0
"""

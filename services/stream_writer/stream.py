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
# ARGV: group, consumer, most entries, most bytes. Bounded in bytes, too: the server drops a client
# whose answers take too much of its memory, and what that one was given is late by the time that a
# reader has to answer in. A few at a time, as sizes are known afterwards only.
_READ = """#!lua flags=allow-oom
local answer, bytes, most = {}, 0, tonumber(ARGV[3])
while #answer < most and bytes < tonumber(ARGV[4]) do
    local found = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2],
                             'COUNT', math.min(8, most - #answer), 'STREAMS', KEYS[1], '>')
    if not found then break end
    for _, entry in ipairs(found[1][2]) do
        answer[#answer + 1] = entry
        for _, text in ipairs(entry[2]) do bytes = bytes + #text end
    end
end
return answer
"""
FEW = 8
"""Entries that are taken without knowing how large they are."""
MOST_BYTES = 2**20
"""Of entries that are taken at once, the last few not counted."""
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
        self._read = redis.register_script(_READ)
        self._met = False

    async def read(self, consumer: str, count: int, block_ms: int | None) -> list[Delivery]:
        """At most `count` entries that nobody was given yet, and about MOST_BYTES of them.

        Waits for the first `block_ms`.
        """
        try:
            if block_ms is None:
                found = await self._available(consumer, count)
            else:
                found = await self._wait(consumer, min(count, FEW), block_ms)
        except ResponseError as error:
            if is_lost(error):
                await self.create()
                return []
            raise
        self._met = True
        if block_ms is None or len(found) < FEW or count <= FEW:
            return found
        try:
            return found + await self._available(consumer, count - FEW)
        except Exception as error:  # what is in hand does not wait for more
            log.debug("no_more", error=f"{type(error).__name__}: {error}")
            return found

    async def _wait(self, consumer: str, count: int, block_ms: int) -> list[Delivery]:
        answer: Any = await self._redis.xreadgroup(
            names.GROUP, consumer, {names.STREAM: ">"}, count=count, block=block_ms
        )
        return [
            Delivery(entry.decode(), fields)
            for _, entries in answer or ()
            for entry, fields in entries
        ]

    async def _available(self, consumer: str, count: int) -> list[Delivery]:
        answer = await self._read(
            keys=[names.STREAM], args=[names.GROUP, consumer, count, MOST_BYTES]
        )
        return [
            Delivery(entry.decode(), dict(zip(flat[::2], flat[1::2], strict=True)))
            for entry, flat in answer
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

    def take(self, entries: Sequence[str], since: float | None = None) -> None:
        """Hold `entries`, oldest first, the first of which the consumer was given at `since`: now,
        unless a time of the monotonic clock."""
        self._entries = entries
        self._due = (time.monotonic() if since is None else since) + self._every

    async def renew(self) -> None:
        """Say that they are being worked on, when it is time to. Raises what redis-py raises."""
        if not self._entries or time.monotonic() < self._due:
            return
        await self._script(keys=[names.STREAM], args=[names.GROUP, self._consumer, *self._entries])
        self._due = time.monotonic() + self._every


# ARGV: group, consumer, then the entries, oldest first. Few commands for many entries: while the
# database is away every reader says this again and again. What is not the consumer's any more is
# not taken back. JUSTID: it is no delivery.
_RENEW = """#!lua flags=allow-oom
local held, from, last = {}, ARGV[3], ARGV[#ARGV]
for i = 3, #ARGV do held[ARGV[i]] = true end
repeat
    local found = redis.call('XPENDING', KEYS[1], ARGV[1], from, last, 1000, ARGV[2])
    local claim = {}
    for _, about in ipairs(found) do
        if held[about[1]] then claim[#claim + 1] = about[1] end
        from = '(' .. about[1]
    end
    if #claim > 0 then
        claim[#claim + 1] = 'JUSTID'
        redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(claim))
    end
until #found < 1000
return 0
"""

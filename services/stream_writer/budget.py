"""The commits that all writers together may make in a second, kept in Redis.

The database flushes its log so many times a second and no more, whoever asks. Every commit takes
the next free slot on a time line that all share, by the clock of Redis, and waits until it is
there. A slot of a process that died meanwhile passes unused.
"""

from __future__ import annotations

from redis.asyncio import Redis

from services.shared.stream import names

# KEYS: the time of the next free slot, in microseconds. ARGV: the time between slots, how far back
# unused slots count, and how far ahead a slot can be at all: one beyond that was made before the
# clock was set back. Numbers of this size are exact in Lua. It allows for a full memory, as
# commits are what makes room in it.
_RESERVE = """#!lua flags=allow-oom
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local slot = tonumber(redis.call('GET', KEYS[1]) or '0')
if slot < now - tonumber(ARGV[2]) then slot = now - tonumber(ARGV[2]) end
if slot > now + tonumber(ARGV[3]) then slot = now end
redis.call('SET', KEYS[1], string.format('%.0f', slot + tonumber(ARGV[1])))
return math.max(0, math.ceil(slot - now))
"""
_SPARE_SECONDS = 0.1
"""Unused slots of so long a time may be used at once."""
_FAR_SECONDS = 60


class Budget:
    """Slots for commits, `per_second` of them for everybody who shares the Redis server."""

    def __init__(self, redis: Redis, per_second: float) -> None:
        self._reserve = redis.register_script(_RESERVE)
        interval = 1e6 / per_second
        self.burst = max(1, int(per_second * _SPARE_SECONDS))
        """Commits that may follow each other at once after a pause."""
        self._arguments = [
            round(interval),
            round((self.burst - 1) * interval),
            _FAR_SECONDS * 1_000_000,
        ]

    async def reserve(self) -> float:
        """Take the next slot; the seconds until it is there."""
        return await self._reserve(keys=[names.BUDGET], args=self._arguments) / 1e6

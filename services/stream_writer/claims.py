"""Entries whose reader is gone: who takes them over, and how carefully."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from services.shared.stream import names
from services.stream_writer.entries import Delivery
from services.stream_writer.stream import FEW, MOST_BYTES

# ARGV: group, consumer, idle time in ms, cursor, most entries, deliveries to be careful from.
# Claiming with JUSTID is no delivery: only what is handed out to be written is counted, which an
# entry to be careful with is by _CLAIM_ONE. Entries that are no longer in the stream leave the
# group on the way.
_CLAIM = """#!lua flags=allow-oom
local answer = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4],
                          'COUNT', ARGV[5], 'JUSTID')
local ready, careful = {}, {}
for _, id in ipairs(answer[2]) do
    local count = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1][4]
    if count >= tonumber(ARGV[6]) then
        careful[#careful + 1] = {id, count}
    else
        local claimed = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id)[1]
        if claimed then ready[#ready + 1] = {id, claimed[2], count + 1} end
    end
end
return {answer[1], ready, careful, answer[3]}
"""
_CLAIM_ONE = """#!lua flags=allow-oom
local count = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2])[1]
if not count then return false end
local claimed = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3])[1]
return claimed and {ARGV[3], claimed[2], count[4] + 1}
"""
# ARGV: group, idle time in ms, then consumers that need not have been idle. Looking and removing
# in one step: a consumer that is removed takes the claims on its entries with it, and nobody would
# ever be given them again.
_FORGET = """#!lua flags=allow-oom
local named, gone = {}, {}
for i = 3, #ARGV do named[ARGV[i]] = true end
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    local about = {}
    for i = 1, #flat, 2 do about[flat[i]] = flat[i + 1] end
    if about.pending == 0 and (named[about.name] or about.idle >= tonumber(ARGV[2])) then
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], about.name)
        gone[#gone + 1] = about.name
    end
end
return gone
"""
_FIRST = b"0-0"
_NEVER_MS = 2**53


@dataclass(frozen=True, slots=True)
class Claimed:
    """What was taken over from readers that said nothing for long.

    ready: to be written together. careful: entries, and how often each was delivered without an
    answer; they are held, and delivered by take(). lost: no longer in the stream. more: whether
    there may be further entries.
    """

    ready: Sequence[Delivery]
    careful: Sequence[tuple[str, int]]
    lost: Sequence[str]
    more: bool


class Claims:
    """Takes over as `consumer`. Raises what redis-py raises."""

    def __init__(
        self, redis: Redis, consumer: str, *, claim_after: float, count: int, careful_from: int
    ) -> None:
        self.consumer = consumer
        self._claim = redis.register_script(_CLAIM)
        self._claim_one = redis.register_script(_CLAIM_ONE)
        self._forget = redis.register_script(_FORGET)
        self._idle_ms = round(claim_after * 1000)
        self._count = count
        self._careful_from = careful_from
        self._cursor = _FIRST

    async def some(self) -> Claimed:
        """The next entries that are overdue, from where the last call ended."""
        ready: list[Delivery] = []
        careful: list[tuple[str, int]] = []
        lost: list[str] = []
        size = 0
        while len(ready) + len(careful) < self._count and size < MOST_BYTES:
            try:
                found = await self._few()
            except Exception:
                if not (ready or careful or lost):
                    raise
                break  # what is in hand does not wait for more
            ready += found.ready
            careful += found.careful
            lost += found.lost
            size += sum(len(text) for one in found.ready for text in one.fields.values())
            if not found.more:
                break
        return Claimed(ready, careful, lost, more=self._cursor != _FIRST)

    async def _few(self) -> Claimed:
        """A few at a time, for the reason of Stream.read()."""
        self._cursor, ready, careful, lost = await self._claim(
            keys=[names.STREAM],
            args=[
                names.GROUP,
                self.consumer,
                self._idle_ms,
                self._cursor,
                min(self._count, FEW),
                self._careful_from,
            ],
        )
        return Claimed(
            [_delivery(found) for found in ready],
            [(entry.decode(), count) for entry, count in careful],
            [entry.decode() for entry in lost],
            more=self._cursor != _FIRST,
        )

    async def take(self, entry: str) -> Delivery | None:
        """Have one entry delivered that is held; None when it is settled or somebody else's."""
        found = await self._claim_one(keys=[names.STREAM], args=[names.GROUP, self.consumer, entry])
        return _delivery(found) if found else None

    async def forget_gone(self, idle_seconds: float) -> list[str]:
        """Remove consumers that did nothing for so long and have nothing in hand; who it was.

        One that is alive is made anew when it reads next.
        """
        gone = await self._forget(
            keys=[names.STREAM], args=[names.GROUP, round(idle_seconds * 1000)]
        )
        return [name.decode() for name in gone]

    async def forget(self, consumers: Sequence[str]) -> None:
        """Remove those of `consumers`, which have stopped, that have nothing in hand."""
        await self._forget(keys=[names.STREAM], args=[names.GROUP, _NEVER_MS, *consumers])


def _delivery(found: Sequence[object]) -> Delivery:
    entry, flat, count = found
    assert isinstance(entry, bytes)
    assert isinstance(flat, list)
    assert isinstance(count, int)
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    return Delivery(entry.decode(), fields, count)

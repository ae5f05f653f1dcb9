"""Takes entries out of the stream again: those that are stored, and those that never can be."""

from __future__ import annotations

from collections.abc import Sequence

from redis.asyncio import Redis

from services.shared.stream import names

# A server whose memory is full would refuse a script that does not allow for it, and nothing but
# these scripts makes room again.

# KEYS: stream, fences, then a pending key per entry. ARGV: group, for how many ms the pending
# copies stay, then the entries, then the bucket of each. Large copies do not stay: their memory is
# wanted. One that stays is as current as the database: whatever comes after it takes its place. A
# pending key that has gone over to a newer entry stays as it is. Where there is none, what is in
# the database has changed behind the back of whoever read it since: the entry was sent again, or
# the one that came after it is a dead letter. Then the fence moves, to what it never was before.
# Lists are parted because Lua passes at most some thousand values to one command.
_SETTLE = """#!lua flags=allow-oom
local count, stay = #KEYS - 2, tonumber(ARGV[2])
for i = 1, count do
    local id = ARGV[2 + i]
    local newest = redis.call('HGET', KEYS[2 + i], 'e')
    if newest == id then
        if stay > 0 and redis.call('HSTRLEN', KEYS[2 + i], 'd') <= 16384 then
            redis.call('PEXPIRE', KEYS[2 + i], stay)
        else
            redis.call('DEL', KEYS[2 + i])
        end
    elseif not newest and redis.call('XRANGE', KEYS[1], id, id)[1] then
        redis.call('HSET', KEYS[2], ARGV[2 + count + i], id .. ':settled')
    end
end
local settled = 0
for first = 3, count + 2, 1000 do
    local last = math.min(first + 999, count + 2)
    redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, first, last))
    settled = settled + redis.call('XDEL', KEYS[1], unpack(ARGV, first, last))
end
return settled
"""
# KEYS: stream, dead letters. ARGV: group, the entry, reason, deliveries, prefix of pending keys.
# The fields are read here: what killed a process need not come into one again. An entry that
# somebody settled meanwhile is no dead letter.
_BURY = """#!lua flags=allow-oom
local id = ARGV[2]
local found = redis.call('XRANGE', KEYS[1], id, id)[1]
local letter = false
if found then
    local fields, kept, origin, document = found[2], {}, id, nil
    for i = 1, #fields, 2 do
        if fields[i] == 'entry' then
            origin = fields[i + 1]
        else
            kept[#kept + 1] = fields[i]
            kept[#kept + 1] = fields[i + 1]
        end
        if fields[i] == 'id' then document = fields[i + 1] end
    end
    for _, text in ipairs({'entry', origin, 'reason', ARGV[3], 'deliveries', ARGV[4]}) do
        kept[#kept + 1] = text
    end
    letter = redis.call('XADD', KEYS[2], '*', unpack(kept))
    if document and redis.call('HGET', ARGV[5] .. document, 'e') == id then
        redis.call('DEL', ARGV[5] .. document)
    end
end
redis.call('XACK', KEYS[1], ARGV[1], id)
redis.call('XDEL', KEYS[1], id)
return letter
"""
FIELD_ORIGIN = "entry"
"""Of a dead letter, and of one that was sent again: the entry that it was when it was accepted."""
FIELD_REASON = "reason"
FIELD_DELIVERIES = "deliveries"

_MOST_REASON = 1000


class Settling:
    """What is done with entries that need no further try. Safe to repeat, by anybody.

    Raises what redis-py raises; then it may have happened or not.
    """

    def __init__(self, redis: Redis) -> None:
        self._settle = redis.register_script(_SETTLE)
        self._bury = redis.register_script(_BURY)

    async def settle(self, entries: Sequence[tuple[str, str]], *, copies_stay: float = 0) -> int:
        """Take out entries (each with its document's id) whose documents are committed.

        Those of one document in the order in which they were accepted. Their pending copies can be
        read for `copies_stay` seconds more. Gives how many were still there.
        """
        if not entries:
            return 0
        return await self._settle(
            keys=[names.STREAM, names.FENCES, *(names.pending(name) for _, name in entries)],
            args=[
                names.GROUP,
                round(copies_stay * 1000),
                *(entry for entry, _ in entries),
                *(names.fence(name) for _, name in entries),
            ],
        )

    async def bury(self, entry: str, reason: str, deliveries: int) -> str | None:
        """Move one entry to the dead letters; the id it has there, None if it was gone."""
        letter = await self._bury(
            keys=[names.STREAM, names.DEAD],
            args=[names.GROUP, entry, reason[:_MOST_REASON], deliveries, names.PENDING],
        )
        return letter.decode() if letter else None

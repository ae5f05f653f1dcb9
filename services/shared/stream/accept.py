"""Takes documents into the stream: one script for many, durable when it has answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

from services.shared.runtime.settings import SettingsError
from services.shared.stream import names

# KEYS: stream, fences, then a pending key per document. ARGV: the most entries that the stream may
# hold, then id, document, traceparent, correlation id and bucket of each document ("": absent).
# Nothing is written before the length is known to fit, and a server that is out of memory refuses
# the script before it begins: it does everything or nothing. MAXLEN would instead drop the oldest
# entries, which were acknowledged. PERSIST: a copy that was there may have been about to go.
_ACCEPT = """#!lua
local count = #KEYS - 2
if redis.call('XLEN', KEYS[1]) + count > tonumber(ARGV[1]) then return false end
local entries = {}
for i = 1, count do
    local at = 5 * i - 3
    local fields = {'id', ARGV[at], 'doc', ARGV[at + 1]}
    if ARGV[at + 2] ~= '' then
        fields[#fields + 1] = 'tp'
        fields[#fields + 1] = ARGV[at + 2]
    end
    if ARGV[at + 3] ~= '' then
        fields[#fields + 1] = 'cid'
        fields[#fields + 1] = ARGV[at + 3]
    end
    local entry = redis.call('XADD', KEYS[1], '*', unpack(fields))
    redis.call('HSET', KEYS[2], ARGV[at + 4], entry)
    if redis.call('HSET', KEYS[2 + i], 'e', entry, 'd', ARGV[at + 1]) < 2 then
        redis.call('PERSIST', KEYS[2 + i])
    end
    entries[i] = entry
end
return entries
"""
MOST_PER_CALL = 1000
"""Documents; Lua passes at most some thousand values to one command."""


class Accepted(NamedTuple):
    """One document as it goes into the stream."""

    id: str
    document: bytes
    """JSON in UTF-8."""
    traceparent: str = ""
    correlation_id: str = ""


class StreamFullError(Exception):
    """The stream, or the server's memory, has no room; nothing was accepted."""


class StreamUnavailableError(Exception):
    """Redis could not be asked, or its answer got lost.

    `uncertain`: the documents may have been accepted all the same. They are not sent again from
    here: who sends them again with the same ids does no harm.
    """

    def __init__(self, reason: str, *, uncertain: bool) -> None:
        super().__init__(reason)
        self.uncertain = uncertain


class StreamInlet:
    """The one way into the stream. `redis` must not retry by itself."""

    def __init__(self, redis: Redis, max_queue: int) -> None:
        self._max_queue = max_queue
        self._accept = redis.register_script(_ACCEPT)

    async def accept(self, documents: Sequence[Accepted]) -> list[str]:
        """All of them or none; the ids of their entries, in the same order.

        Later ones of one id win. At most MOST_PER_CALL.
        Raises StreamFullError or StreamUnavailableError.
        """
        assert 0 < len(documents) <= MOST_PER_CALL, "the caller gathers no more"
        keys = [names.STREAM, names.FENCES, *[names.PENDING + given.id for given in documents]]
        arguments: list[str | bytes | int] = [self._max_queue]
        for given in documents:
            arguments += given
            arguments.append(names.fence(given.id))
        try:
            entries = await self._accept(keys=keys, args=arguments)
        except OutOfMemoryError as error:
            raise StreamFullError("the server is out of memory") from error
        except ResponseError as error:
            # Redis said no: rights, a disk that is full (MISCONF), or it is loading. From within
            # the script, which is not undone, the first documents may be in.
            within = "script:" in str(error)
            raise StreamUnavailableError(f"refused: {error}", uncertain=within) from error
        except SettingsError as error:
            raise StreamUnavailableError(str(error), uncertain=False) from error
        except (RedisError, OSError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise StreamUnavailableError(reason, uncertain=True) from error
        if entries is None:
            raise StreamFullError(f"the stream would hold more than {self._max_queue} entries")
        return [entry.decode() for entry in entries]

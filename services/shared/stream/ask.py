"""What the stream knows of documents: the fence of each, and what is pending."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.shared.runtime.settings import SettingsError
from services.shared.stream import names
from services.shared.stream.accept import StreamUnavailableError

# KEYS: fences, then a pending key per document. ARGV: the most bytes of documents to answer with,
# then the bucket of each. Of more only the first are answered, one at least: the server drops
# clients whose answers take too much of its memory, and a pod has little itself.
_ASK = """#!lua flags=no-writes
local answer, room = {}, tonumber(ARGV[1])
for i = 1, #ARGV - 1 do
    room = room - redis.call('HSTRLEN', KEYS[1 + i], 'd')
    if room < 0 and i > 1 then break end
    answer[2 * i - 1] = redis.call('HGET', KEYS[1], ARGV[1 + i])
    answer[2 * i] = redis.call('HGET', KEYS[1 + i], 'd')
end
return answer
"""
_MOST_BYTES = 4 * 2**20
MOST_PER_QUESTION = 500
"""Documents; nobody else is served while a script runs."""


class Word(NamedTuple):
    """The stream's on one document."""

    fence: bytes
    """b"" before the first entry of the id's bucket."""
    pending: bytes | None
    """The document while it is on its way to the database."""


class StreamReader:
    """Asks for many documents with one call."""

    def __init__(self, redis: Redis) -> None:
        self._ask = redis.register_script(_ASK)

    async def ask(self, ids: Sequence[str]) -> list[Word]:
        """The word on each, in order; at most MOST_PER_QUESTION. Raises StreamUnavailableError."""
        assert 0 < len(ids) <= MOST_PER_QUESTION, "the caller asks for no more"
        words: dict[str, Word] = {}
        # What many ask for at once is asked for once.
        while left := [one for one in dict.fromkeys(ids) if one not in words]:
            words |= zip(left, await self._some(left), strict=False)
        return [words[one] for one in ids]

    async def _some(self, ids: Sequence[str]) -> list[Word]:
        """The word on the first ones, as many as fit into an answer."""
        try:
            answer = await self._ask(
                keys=[names.FENCES, *map(names.pending, ids)],
                args=[_MOST_BYTES, *map(names.fence, ids)],
            )
        except (RedisError, OSError, SettingsError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise StreamUnavailableError(reason, uncertain=False) from error
        return [
            Word(fence or b"", pending)
            for fence, pending in zip(answer[::2], answer[1::2], strict=True)
        ]

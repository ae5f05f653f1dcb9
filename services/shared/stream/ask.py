"""What the stream knows of documents: the fence of each, and what is pending."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.shared.runtime.settings import SettingsError
from services.shared.stream import names
from services.shared.stream.accept import StreamUnavailableError

# KEYS: fences, then a pending key per document. ARGV: the bucket of each.
_ASK = """#!lua flags=no-writes
local answer = {}
for i = 1, #ARGV do
    answer[2 * i - 1] = redis.call('HGET', KEYS[1], ARGV[i])
    answer[2 * i] = redis.call('HGET', KEYS[1 + i], 'd')
end
return answer
"""
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
        try:
            answer = await self._ask(
                keys=[names.FENCES, *map(names.pending, ids)], args=[*map(names.fence, ids)]
            )
        except (RedisError, OSError, SettingsError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise StreamUnavailableError(reason, uncertain=False) from error
        return [
            Word(fence or b"", pending)
            for fence, pending in zip(answer[::2], answer[1::2], strict=True)
        ]

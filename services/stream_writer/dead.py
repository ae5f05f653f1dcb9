"""The operator's commands over dead letters: list, replay, discard."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any, TextIO

from redis.asyncio import Redis

from services.shared.stream import names
from services.shared.stream.settle import FIELD_DELIVERIES, FIELD_ORIGIN, FIELD_REASON

_LETTER = re.compile(r"\d{1,20}-\d{1,20}")
_PAGE = 100

# KEYS: dead letters, stream. ARGV: the letter. What comes back remembers the entry that it was
# (`entry`), and so loses against a later one of its document; reason and deliveries are dropped.
_REPLAY = """
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not found then return false end
local fields, kept = found[2], {}
for i = 1, #fields, 2 do
    if fields[i] ~= 'reason' and fields[i] ~= 'deliveries' then
        kept[#kept + 1] = fields[i]
        kept[#kept + 1] = fields[i + 1]
    end
end
local entry = redis.call('XADD', KEYS[2], '*', unpack(kept))
redis.call('XDEL', KEYS[1], ARGV[1])
return entry
"""


class NotDeadError(Exception):
    """The dead letter named is not there."""


class NotDoneError(Exception):
    """Redis is away, or refuses."""


async def list_dead(redis: Redis, out: TextIO) -> None:
    """One JSON object per dead letter: what it was, why it is dead, and how large it is."""
    async for letter, fields in _letters(redis):
        text = {name.decode(errors="replace"): value for name, value in fields.items()}
        about: dict[str, Any] = {
            "dead_letter": letter,
            "id": _text(text.get("id")),
            "entry": _text(text.get(FIELD_ORIGIN)),
            "reason": _text(text.get(FIELD_REASON)),
            "deliveries": int(text.get(FIELD_DELIVERIES) or 0),
            "bytes": len(text.get("doc") or b""),
            "correlation_id": _text(text.get("cid")),
        }
        print(json.dumps(about, ensure_ascii=False), file=out)


async def replay(redis: Redis, letter: str) -> str:
    """Put a dead letter back into the stream; the entry it is there."""
    entry = await redis.register_script(_REPLAY)(
        keys=[names.DEAD, names.STREAM], args=[_checked(letter)]
    )
    if entry is None:
        raise _unknown(letter)
    return entry.decode()


async def replay_all(redis: Redis) -> AsyncIterator[tuple[str, str]]:
    """replay() for all there are now: each with its new entry, as soon as it is back."""
    last: Any = await redis.xrevrange(names.DEAD, count=1)
    until = last[0][0].decode() if last else "0-0"
    async for letter, _ in _letters(redis, until):
        try:
            yield letter, await replay(redis, letter)
        except NotDeadError:
            continue  # somebody else was faster


async def discard(redis: Redis, letter: str) -> None:
    """Drop a dead letter for good."""
    if not await redis.xdel(names.DEAD, _checked(letter)):
        raise _unknown(letter)


async def _letters(redis: Redis, until: str = "+") -> AsyncIterator[tuple[str, dict[bytes, bytes]]]:
    after = "-"
    while True:
        page: Any = await redis.xrange(names.DEAD, after, until, count=_PAGE)
        if not page:
            return
        for letter, fields in page:
            yield letter.decode(), fields
        after = f"({page[-1][0].decode()}"


def _checked(letter: str) -> str:
    if not _LETTER.fullmatch(letter):
        raise _unknown(letter)
    return letter


def _unknown(letter: str) -> NotDeadError:
    return NotDeadError(f"{letter}: no dead letter; see `dead list`")


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")

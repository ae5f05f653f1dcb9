"""Names of the write-ahead log's files, and which of them follow each other without a gap."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

SIZE: Final = 16 * 2**20
"""Of a segment: what `initdb` chooses when it is not told otherwise."""
_PER_FILE: Final = 2**32 // SIZE
_NAME: Final = re.compile(r"[0-9A-F]{24}")


def is_segment(name: str) -> bool:
    """Whether it is the name of a whole segment."""
    return _NAME.fullmatch(name) is not None


def position(lsn: str) -> int:
    """Of `1/A0000028`, in bytes."""
    high, _, low = lsn.partition("/")
    return int(high, 16) * 2**32 + int(low, 16)


def lsn(at: int) -> str:
    """The text of a position, as the server writes it."""
    return f"{at // 2**32:X}/{at % 2**32:X}"


def holding(timeline: int, at: int) -> str:
    """The segment that the byte at a position is in."""
    number = at // SIZE
    return f"{timeline:08X}{number // _PER_FILE:08X}{number % _PER_FILE:08X}"


def start(name: str) -> int:
    """The position of a segment's first byte."""
    return (int(name[8:16], 16) * _PER_FILE + int(name[16:24], 16)) * SIZE


def timeline(name: str) -> int:
    """The timeline a segment is of."""
    return int(name[:8], 16)


def following(name: str, steps: int = 1) -> str:
    """The segment that comes after it on its timeline, or with negative steps before it."""
    return holding(timeline(name), start(name) + steps * SIZE)


def unbroken(first: str, names: Iterable[str]) -> list[str]:
    """From `first` on, until one is missing."""
    there = set(names)
    found: list[str] = []
    while first in there:
        found.append(first)
        first = following(first)
    return found

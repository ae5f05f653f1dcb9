"""Finds the points of a batch that the database refuses, and stores all others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from services.async_writer.points import Point, Versions

Store = Callable[[Sequence[Point]], Awaitable[None]]
"""Stores one point per key by one statement. Raises RefusedError when the data of any is refused,
and then has stored none."""


class RefusedError(Exception):
    """The database refuses the content of a point for good."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A point that can never be stored, and why."""

    point: Point
    reason: str


async def store_or_refuse(keys: Sequence[Versions], store: Store) -> list[Refused]:
    """Store the newest point of each key that the database takes, and return the others.

    Halves of what is refused are tried until a point is alone: of n keys with one bad point, at
    most 2 · log2(n) + 2 statements. Where the newest point of a key is refused the one before it
    counts.
    """
    if not keys:
        return []
    try:
        await store([versions[0] for versions in keys])
    except RefusedError as error:
        if len(keys) > 1:
            middle = len(keys) // 2
            return [
                *await store_or_refuse(keys[:middle], store),
                *await store_or_refuse(keys[middle:], store),
            ]
        newest, *older = keys[0]
        refused = [Refused(newest, f"refused by the database: {error}")]
        return refused + (await store_or_refuse([tuple(older)], store) if older else [])
    return []

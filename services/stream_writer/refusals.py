"""Finds the entries of a batch that the database refuses, and stores all others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from services.stream_writer.entries import Entry, Versions

Store = Callable[[Sequence[Entry]], Awaitable[None]]
"""Stores one entry per document in one transaction. Raises RefusedError when the data of any is
refused, and then has stored none."""


class RefusedError(Exception):
    """The database refuses the content of a document for good."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An entry that can never be stored, and why."""

    entry: Entry
    reason: str


async def store_or_refuse(documents: Sequence[Versions], store: Store) -> list[Refused]:
    """Store the newest entry of each document that the database takes, and return the others.

    Halves of what is refused are tried until an entry is alone. Of a document whose newest entry
    is refused the one before it counts: that was accepted as well.
    """
    if not documents:
        return []
    try:
        await store([versions[0] for versions in documents])
    except RefusedError as error:
        if len(documents) > 1:
            middle = len(documents) // 2
            return [
                *await store_or_refuse(documents[:middle], store),
                *await store_or_refuse(documents[middle:], store),
            ]
        newest, *older = documents[0]
        refused = [Refused(newest, f"refused by the database: {error}")]
        return refused + (await store_or_refuse([tuple(older)], store) if older else [])
    return []

"""Entries as the stream has them, and the documents that a batch of them comes down to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.shared.stream.settle import FIELD_ORIGIN

_ENTRY_ID = re.compile(r"(\d{1,19})-(\d{1,19})")
_MOST_BIGINT = 2**63 - 1


class BadEntryError(Exception):
    """An entry that holds no document; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An entry as Redis gives it out, and how often it has by now."""

    entry: str
    fields: Mapping[bytes, bytes]
    count: int = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A document to be stored. Of two for one document the one of the higher version wins."""

    key: str
    document_id: str
    document: str
    version: tuple[int, int]
    deliveries: int = 1
    correlation_id: str | None = None


Versions = tuple[Entry, ...]
"""All entries of a batch for one document, the newest first."""


def version_of(entry: str) -> tuple[int, int]:
    """The two numbers of an entry's id, in whose order entries were accepted."""
    match = _ENTRY_ID.fullmatch(entry)
    version = (int(match[1]), int(match[2])) if match else None
    if version is None or max(version) > _MOST_BIGINT:
        raise BadEntryError(f"{entry[:50]!r} is no id of an entry")
    return version


def to_entry(delivery: Delivery) -> Entry:
    """Raises BadEntryError."""
    try:
        text = {name.decode(): value.decode() for name, value in delivery.fields.items()}
    except UnicodeDecodeError as error:
        raise BadEntryError(f"not UTF-8: {error.reason} at byte {error.start}") from error
    missing = [name for name in ("id", "doc") if not text.get(name)]
    if missing:
        raise BadEntryError(f"without {' and '.join(missing)}")
    return Entry(
        key=delivery.entry,
        document_id=text["id"],
        document=text["doc"],
        # One that was sent again is as old as it was: it must not win over what came since.
        version=version_of(text.get(FIELD_ORIGIN) or delivery.entry),
        deliveries=delivery.count,
        correlation_id=text.get("cid"),
    )


def by_document(entries: Iterable[Entry]) -> list[Versions]:
    """The entries of each document, newest first; documents in the order of their ids.

    Everybody writes in that order, so that two who write the same documents wait for each other
    and never in a circle.
    """
    found: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        found.setdefault(entry.document_id, {})[entry.key] = entry
    return [
        tuple(sorted(found[name].values(), key=lambda entry: entry.version, reverse=True))
        for name in sorted(found)
    ]


def part(documents: Sequence[Versions], most: int, most_characters: int) -> Sequence[Versions]:
    """The first of `documents`, as many as one statement may carry; one at least."""
    characters = 0
    for count, versions in enumerate(documents[:most]):
        characters += len(versions[0].document)
        if count and characters > most_characters:
            return documents[:count]
    return documents[:most]

"""Entries as the stream has them, and the documents that a batch of them comes down to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from services.shared.stream import names
from services.shared.stream.settle import FIELD_ORIGIN

_ENTRY_ID = re.compile(r"(\d{1,19})-(\d{1,19})")
_MOST_BIGINT = 2**63 - 1
_ID, _DOCUMENT, _ORIGIN, _CORRELATION, _TRACEPARENT = (
    name.encode()
    for name in (
        names.FIELD_ID,
        names.FIELD_DOCUMENT,
        FIELD_ORIGIN,
        names.FIELD_CORRELATION_ID,
        names.FIELD_TRACEPARENT,
    )
)
_version = attrgetter("version")


class BadEntryError(Exception):
    """An entry that holds no document; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An entry as Redis gives it out, and how often it has by now."""

    entry: str
    fields: Mapping[bytes, bytes]
    count: int = 1


class Entry(NamedTuple):
    """A document to be stored. Of two for one document the one of the higher version wins."""

    key: str
    document_id: str
    document: str
    version: tuple[int, int]
    deliveries: int = 1
    correlation_id: str | None = None
    traceparent: bytes | None = None


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
    fields = delivery.fields
    name, document = fields.get(_ID), fields.get(_DOCUMENT)
    if not (name and document):
        missing = (one.decode() for one in (_ID, _DOCUMENT) if not fields.get(one))
        raise BadEntryError(f"without {' and '.join(missing)}")
    try:
        # One that was sent again is as old as it was: it must not win over what came since.
        origin = fields[_ORIGIN].decode() if _ORIGIN in fields else ""
        correlation = fields[_CORRELATION].decode() if _CORRELATION in fields else None
        return Entry(
            delivery.entry,
            name.decode(),
            document.decode(),
            version_of(origin or delivery.entry),
            delivery.count,
            correlation,
            fields.get(_TRACEPARENT),
        )
    except UnicodeDecodeError as error:
        raise BadEntryError(f"not UTF-8: {error.reason} at byte {error.start}") from error


def by_document(entries: Iterable[Entry]) -> list[Versions]:
    """The entries of each document, newest first; documents in the order of their ids.

    Everybody writes in that order, so that two who write the same documents wait for each other
    and never in a circle.
    """
    found: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        found.setdefault(entry.document_id, {})[entry.key] = entry
    return [_newest_first(found[name]) for name in sorted(found)]


def _newest_first(entries: Mapping[str, Entry]) -> Versions:
    if len(entries) == 1:  # as nearly always
        return tuple(entries.values())
    return tuple(sorted(entries.values(), key=_version, reverse=True))


def part(documents: Sequence[Versions], most: int, most_characters: int) -> Sequence[Versions]:
    """The first of `documents`, as many as one statement may carry; one at least."""
    characters = 0
    for count, versions in enumerate(documents[:most]):
        characters += len(versions[0].document)
        if count and characters > most_characters:
            return documents[:count]
    return documents[:most]

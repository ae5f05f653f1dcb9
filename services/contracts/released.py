"""Versions of payloads that are released: files nobody changes, and what may come after them.

A version is released once its schema and a line of its checksum lie in the folder. From then on it
is what it was. The newest alone may get other words (titles, descriptions), as the model has them.
Everything here is reckoned from what it is given; reading and writing files is in schemas.py.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.contracts.compatibility import breaks
from services.contracts.dialect import NotUnderstoodError, Schema, below, check_understood, meaning

RUN: Final = "run `.venv/bin/python -m services.contracts.schemas`"
SUMS: Final = "SHA256SUMS"
"""The file of checksums, as sha256sum writes and reads it."""

_WHERE: Final = "VERSIONS of services/contracts/payloads.py"
_NAME: Final = re.compile(r"(?P<event>.+)\.v(?P<version>[1-9][0-9]*)\.schema\.json")


@dataclass(frozen=True, slots=True)
class Folder:
    """Texts by the name of their file, and the checksums that were written down for them."""

    texts: Mapping[str, str]
    sums: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Review:
    """Of one event. problems: each with the way out. text: the newest file as it has to become,
    if there is no problem and it is not so yet."""

    problems: Sequence[str]
    text: str | None = None


def file_name(event_type: str, version: int) -> str:
    """The file of one version."""
    return f"{event_type}.v{version}.schema.json"


def checksum(text: str) -> str:
    """As SUMS has it."""
    return hashlib.sha256(text.encode()).hexdigest()


def sums_text(sums: Mapping[str, str]) -> str:
    """The file of checksums."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


def sums_of(text: str) -> dict[str, str]:
    """Checksum by name, of the text of such a file."""
    return {name: said for said, _, name in (line.partition("  ") for line in text.splitlines())}


def review(event_type: str, version: int | None, text: str, folder: Folder) -> Review:
    """Hold what the model says now (`text`, of `version`) against what is released."""
    said = f"{event_type}: "
    names = {int(m["version"]): m.string for m in _matches(folder) if m["event"] == event_type}
    problems = list(_touched(names, folder))
    if problems:
        return Review([said + each for each in problems])
    released = {number: json.loads(folder.texts[names[number]]) for number in sorted(names)}
    newest, schema = max(released, default=0), json.loads(text)
    try:
        problems = list(_wrong(version, newest, released, schema))
    except NotUnderstoodError as error:
        problems = [
            f"field {error} is not known to the check, so no change of it could be judged; say it"
            " otherwise, or teach services/contracts/dialect.py and compatibility.py what it means"
        ]
    if problems or version is None:
        return Review([said + each for each in problems])
    return Review([], None if folder.texts.get(file_name(event_type, version)) == text else text)


def left_over(events: Sequence[str], folder: Folder) -> list[str]:
    """What lies in the folder of events that are no more, and what is no version of any."""
    known = {match.string for match in _matches(folder) if match["event"] in events}
    return [
        f"{name}: of no event that there is; remove it and its line in {SUMS}, if no topic holds"
        " messages of it any more"
        for name in sorted({*folder.texts, *folder.sums} - known)
    ]


def _matches(folder: Folder) -> Iterator[re.Match[str]]:
    return filter(None, map(_NAME.fullmatch, {*folder.texts, *folder.sums}))


def _touched(names: Mapping[int, str], folder: Folder) -> Iterator[str]:
    for number in range(1, max(names, default=0) + 1):
        name = names.get(number)
        if name is None:
            yield f"version {number} is missing, and later ones are not; restore it with its line"
        elif name not in folder.texts:
            yield f"{name} is released and gone; restore it (`git restore docs/events`)"
        elif name not in folder.sums:
            yield f"{name} has no line in {SUMS}, so it was never released; remove it, and {RUN}"
        elif checksum(folder.texts[name]) != folder.sums[name]:
            yield (
                f"{name} was edited, and is released; restore it (`git restore docs/events`). What"
                f" is to change, change in the model, raise {_WHERE}, and {RUN}"
            )


def _wrong(
    version: int | None, newest: int, released: Mapping[int, Schema], schema: Schema
) -> Iterator[str]:
    check_understood(schema)
    if version is None:
        yield f"has no version; name it in {_WHERE}, with {newest or 1}"
        return
    if version not in ((newest, newest + 1) if newest else (1,)):
        next_ = f"{newest}, which is released, or {newest + 1}" if newest else "1, the first"
        yield f"version {version} cannot be next; say {next_}, in {_WHERE}"
        return
    changed = list(_changes(meaning(released[newest]), meaning(schema), "")) if newest else []
    if version == newest:
        for field, change in changed:
            yield (
                f"field {field}: {change}, and version {newest} is released; take it back, or say"
                f" {newest + 1} in {_WHERE}, and {RUN}"
            )
    elif newest and not changed:
        yield f"version {version} says what {newest} does; say {newest} in {_WHERE}"
    for number, old in released.items():
        if number == version and not changed:
            continue
        for it in breaks(old, schema):
            who = "who knows this model" if it.backward else f"who knows version {number}"
            whose = f"messages of version {number}" if it.backward else "messages of this model"
            yield f"field {it.field}: {it.reason}: {who} cannot read {whose}; {it.remedy}"


def _changes(old: Schema, new: Schema, field: str) -> Iterator[tuple[str, str]]:
    """Each field that two schemas without words say otherwise, with how."""
    for keyword in sorted(old.keys() | new.keys()):
        was, now = old.get(keyword), new.get(keyword)
        if keyword in ("properties", "$defs"):
            was, now = was or {}, now or {}
            for name in sorted(was.keys() ^ now.keys()):
                yield below(field, name), "is new" if name in now else "is gone"
            for name in sorted(was.keys() & now.keys()):
                yield from _changes(was[name], now[name], below(field, name))
        elif keyword == "required":
            # But for fields that come or go: of them that is said.
            moved = old.get("properties", {}).keys() ^ new.get("properties", {}).keys()
            for name in sorted((set(was or ()) ^ set(now or ())) - moved):
                yield below(field, name), f"is {'' if name in (now or ()) else 'not '}required now"
        elif keyword == "items" and was and now:
            yield from _changes(was, now, f"{field}[]")
        elif was != now or (keyword in old) != (keyword in new):
            told = [json.dumps(it[keyword]) if keyword in it else "not said" for it in (old, new)]
            yield field or "the payload", f"{keyword} was {told[0]} and is {told[1]}"

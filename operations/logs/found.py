"""Lines of logs, whoever had them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

MOST: Final = 2000
"""Lines of one log, or of one store, that are shown."""
_STAMP: Final = re.compile(r"([0-9-]+T[0-9:]+)(?:\.([0-9]{1,9}))?(Z|[+-][0-9:]+)")
_SECOND: Final = 1_000_000_000


@dataclass(frozen=True)
class Source:
    """One log: of a container, or of the one that ran in its place before."""

    namespace: str
    pod: str
    container: str
    previous: bool = False

    def __str__(self) -> str:
        before = ", before its restart" if self.previous else ""
        return f"{self.namespace}/{self.pod} ({self.container}{before})"


@dataclass(frozen=True)
class Line:
    """As the node wrote it down."""

    source: Source
    nanoseconds: int
    """When, since 1970."""
    text: str

    @property
    def at(self) -> datetime:
        """When, to the microsecond."""
        second, rest = divmod(self.nanoseconds, _SECOND)
        return datetime.fromtimestamp(second, UTC).replace(microsecond=rest // 1000)


@dataclass(frozen=True)
class Found:
    """What a search came to."""

    lines: Sequence[Line]
    """By time."""
    notes: Sequence[str] = ()
    """What was not read, or not to its end."""


def merged(found: Iterable[Found]) -> Found:
    """Each line once: nodes tell of a container that waits to be started again as itself and as
    before, and have what a store has, too."""
    lines: dict[tuple[str, str, int, str], Line] = {}
    notes: list[str] = []
    for one in found:
        for line in one.lines:
            of = line.source
            lines.setdefault((of.pod, of.container, line.nanoseconds, line.text), line)
        notes += one.notes
    return Found(sorted(lines.values(), key=lambda line: line.nanoseconds), notes)


def nanoseconds(stamp: str) -> int:
    """Of a time as nodes write it, like `2026-11-23T04:00:01.5Z`. Raises ValueError."""
    parts = _STAMP.fullmatch(stamp)
    if parts is None:
        raise ValueError(f"{stamp!r} is no time")
    second = datetime.fromisoformat(f"{parts[1]}{parts[3]}")
    return int(second.timestamp()) * _SECOND + int((parts[2] or "0").ljust(9, "0"))

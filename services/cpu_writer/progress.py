"""What a group remembers of a partition: an offset, and in its metadata what lies behind it.

The offset is the lowest of a point in a window that is open, so whoever owns the partition next
reads all of every open window again. It reads points of closed windows again as well, and what it
must know to leave those out fits in the text that Kafka keeps with an offset.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a partition has come.

    offset: from where to read. seen: the offset behind the last message that was ever looked at;
    what lies before it is counted already. closed: every window that ends by then, in µs since
    1970, is closed, and written; 0: none. window: the length of those windows in µs.
    """

    offset: int
    seen: int
    closed: int
    window: int

    def metadata(self) -> str:
        """For the offset's commit."""
        said = {"v": _VERSION, "seen": self.seen, "closed": self.closed, "window": self.window}
        return json.dumps(said, separators=(",", ":"))


class UnknownMetadataError(Exception):
    """Not what metadata() makes; the message says in which way."""


def resumed(offset: int, metadata: str, window: int) -> Progress:
    """Where to go on from a committed offset, with windows of `window` µs.

    Without metadata (an offset that an operator has set) nothing counts as seen or closed. Where
    the windows had another length, the first one is the first that begins when all the old ones
    are closed: of an earlier one points may lie before the offset.

    Raises UnknownMetadataError.
    """
    if not metadata:
        return Progress(offset, offset, 0, window)
    said = _parsed(metadata)
    seen, closed = _count(said, "seen"), _count(said, "closed")
    if seen < offset:
        raise UnknownMetadataError(f"seen is {seen}, before the offset {offset}")
    if _count(said, "window") != window:
        closed = -(-closed // window) * window
    return Progress(offset, seen, closed, window)


def _parsed(metadata: str) -> dict[str, Any]:
    try:
        said = json.loads(metadata)
    except (ValueError, RecursionError):
        raise UnknownMetadataError("it is not JSON") from None
    if not isinstance(said, dict):
        raise UnknownMetadataError("it is not an object")
    if said.get("v") != _VERSION:
        raise UnknownMetadataError(f"its version is not {_VERSION}")
    return said


def _count(said: dict[str, Any], name: str) -> int:
    found = said.get(name)
    # To Python, True is a whole number.
    if type(found) is not int or not 0 <= found < 2**63:
        raise UnknownMetadataError(f"{name} is not a whole number of 63 bits")
    return found

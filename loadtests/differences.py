"""What a store and a ledger do not agree on: found inside the store, as sets."""

import re
import time
from collections.abc import Callable

from pydantic import BaseModel

EXAMPLES = 3
"""Of each kind of fault, how many are named."""
COMPARE_SECONDS = 300.0
_PREFIX = re.compile(r"[a-z0-9-]{4,60}")


class Differences(BaseModel):
    """How many keys of each kind of fault there are."""

    missing: int
    stale: int
    never_written: int
    examples: tuple[str, ...]

    @property
    def balanced(self) -> bool:
        """Whether there are none."""
        return not (self.missing or self.stale or self.never_written)


def bounds(prefix: str) -> tuple[str, str]:
    """From which text on, and before which one, all ids of a run lie and no other does.

    "." is the character after "-".

    Raises:
        ValueError: the prefix holds more than lower-case letters, digits and dashes.
    """
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"prefix {prefix!r} must be 4 to 60 lower-case letters, digits, dashes")
    return f"{prefix}-", f"{prefix}."


def settle(ask: Callable[[], Differences], within: float, pause: float = 1.0) -> Differences:
    """What is left of the differences so many seconds later, or nothing as soon as that is so.

    For what may still be on its way to the store: this asks again and again.
    """
    deadline = time.monotonic() + within
    while not (left := ask()).balanced:
        if time.monotonic() > deadline:
            break
        time.sleep(pause)
    return left

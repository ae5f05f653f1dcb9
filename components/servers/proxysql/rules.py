"""Which statement goes to the writer and which to the readers: query rules, as data.

Two rules to what they are made of. Whatever is not plainly a read goes to the writer, so that a
statement nobody thought of is slow and not wrong. And what must go to the writer is looked for
twice, for neither text is whole: a digest has no comments, but ends after some thousand characters;
the statement itself is as it was sent, but a comment may stand between two of its words.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

WRITER: Final = 10
READERS: Final = 20
"""Hostgroups."""

HINT: Final = "/* writer */"
"""In the text of a read that must see what was just written."""
MARKER: Final = "SELECT millrace_routes"
"""Answered by the proxy itself, with an error whose text says which routes it goes by."""


@dataclass(frozen=True)
class Rule:
    """One rule; the first that matches decides. Regular expressions of RE2, in any case."""

    number: int
    hostgroup: int
    digest: str = ""
    """Of the statement without comments, blanks reduced to one, literals as `?`."""
    pattern: str = ""
    """Of the statement as it was sent."""
    negated: bool = False
    why: str = ""
    answer: str = ""
    """Sent to the client in place of what a server would say."""


_LOCKING: Final = r"\bFOR\s+(UPDATE|SHARE)\b|\bLOCK\s+IN\s+SHARE\s+MODE\b"
_SESSION: Final = (
    r"\b(GET_LOCK|RELEASE_LOCK|RELEASE_ALL_LOCKS|IS_FREE_LOCK|IS_USED_LOCK|LAST_INSERT_ID"
    r"|FOUND_ROWS|ROW_COUNT|CONNECTION_ID)\s*\("
)
_ELSEWHERE: Final = r"\bINTO\s"
_WRITERS: Final = (
    (r"^\s*/\*\s*writer\s*\*/|^[\s(]*SELECT\s*/\*\s*writer\s*\*/", False, "asked for"),
    (_LOCKING, True, "locks rows"),
    (_SESSION, True, "is about a session, or about locks that only the writer knows"),
    (_ELSEWHERE, True, "puts its result somewhere"),
)
"""Pattern, whether it is one of digests, too, and what it means."""


def rules(version: str) -> tuple[Rule, ...]:
    """All of them, in order. `version` is what `MARKER` is answered with."""
    return tuple(_rules(version))


def _rules(version: str) -> Iterator[Rule]:
    yield Rule(1, WRITER, digest=f"^{MARKER}$", why="which routes these are", answer=version)
    yield Rule(10, WRITER, digest=r"^SELECT\b", negated=True, why="no read, or not plainly one")
    number = 20
    for expression, of_digest, why in _WRITERS:
        yield Rule(number, WRITER, pattern=expression, why=why)
        if of_digest:
            yield Rule(number + 1, WRITER, digest=expression, why=why)
        number += 10
    yield Rule(number, WRITER, digest="@", why="reads or sets a variable of the session")
    yield Rule(number + 10, READERS, digest=r"^SELECT\b", why="a plain read")

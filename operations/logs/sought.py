"""What is looked for: a trace, or what a client calls its request."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, cast

from operations import lines
from operations.request import RefusedError

_TRACE: Final = re.compile(r"[0-9a-f]{32}")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_WITHIN: Final = re.compile(r"(?<![0-9A-Za-z_])[0-9a-f]{32}(?![0-9A-Za-z_])")
_CORRELATION: Final = re.compile(r"[A-Za-z0-9._:-]{1,100}")
"""As services/shared/runtime/context.py accepts it."""
MOST_TRACES: Final = 20
"""Of one correlation id that are followed."""


@dataclass(frozen=True)
class Sought:
    """Ids, of which a line has to have one."""

    ids: frozenset[str]

    @classmethod
    def parse(cls, said: str) -> Self:
        """Of a trace id, a `traceparent` or a correlation id.

        Raises:
            RefusedError: it is none of them.
        """
        text = said.strip()
        if not text:
            raise RefusedError(
                "TRACE is not given: say a trace id (32 hexadecimal digits), a traceparent, or the "
                "X-Correlation-ID of an answer"
            )
        if found := _TRACEPARENT.fullmatch(text.lower()):
            text = found[1]
        elif _TRACE.fullmatch(text.lower()):
            text = text.lower()
        if not _CORRELATION.fullmatch(text):
            raise RefusedError(
                f"TRACE={text[:120]!r} is no id: a trace's has 32 hexadecimal digits, a "
                "correlation id up to 100 letters, digits and any of ._:-"
            )
        return cls(frozenset({text}))

    def __str__(self) -> str:
        return ", ".join(sorted(self.ids))

    @property
    def pattern(self) -> re.Pattern[bytes]:
        """What a line has that can be meant. Bytes, as most lines are not."""
        either = b"|".join(re.escape(one.encode()) for one in sorted(self.ids))
        return re.compile(rb"(?<![0-9A-Za-z_])(?:" + either + rb")(?![0-9A-Za-z_])")

    def is_in(self, entry: Mapping[str, Any]) -> bool:
        """Whether a line that is an object says one of them, not only a word that reads so."""
        about = {key: value for key, value in entry.items() if key not in lines.OWN}
        return any(
            text in self.ids or not self.ids.isdisjoint(_WITHIN.findall(text))
            for text in _texts(about)
        )

    def with_traces_of(self, entries: Iterable[Mapping[str, Any]]) -> "Sought":
        """These, and the traces that the newest of lines with them are of: what follows from a
        request knows its trace, not always what the client called it."""
        traces = list(dict.fromkeys(str(one["trace_id"]) for one in entries if one.get("trace_id")))
        return Sought(self.ids | frozenset(traces[-MOST_TRACES:]))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in cast("dict[str, object]", value).values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in cast("list[object]", value):
            yield from _texts(one)

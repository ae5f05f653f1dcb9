"""Batches: a span in the trace of each origin whose messages are in it.

What is done once for all of them, as their transaction, is in the trace of the first, with links to
the others; and theirs link to the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from services.shared.runtime import context
from services.shared.tracing import lines, spans

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from services.shared.tracing.spans import Attributes

_MOST: Final = 1000
"""Origins of a batch that get a span: no batch of ours has more messages but that of a writer that
is behind, and then one trace more says nothing."""


class Came(NamedTuple):
    """One message: what it was sent to, and the traceparent that came with it."""

    destination: str
    traceparent: str | bytes | None


class Processing:
    """The spans of one batch, by what came; from its making to end()."""

    def __init__(self, system: str, came: Iterable[Came], about: Attributes) -> None:
        self.spans: dict[Came, Span] = {}
        self._refused: set[Came] = set()
        first: list[Span] = []
        for one, count in Counter(one for one in came if one.traceparent).items():
            origin = spans.recorded(one.traceparent)
            if origin is None or len(self.spans) == _MOST:
                continue
            attributes = {**about, "messaging.batch.message_count": count}
            span = spans.incoming(origin, system, one.destination, attributes, first)
            self.spans[one] = span
            first = first or [span]

    def refuse(self, came: Came) -> None:
        """Say of the messages of an origin that one of them can never be processed."""
        span = self.spans.get(came)
        if span is not None:
            spans.fail(span, "dead_letter")
            self._refused.add(came)  # which has a line of its own

    def end(self, error: BaseException | None = None) -> None:
        """All of it is done, or what `error` says."""
        for one, span in self.spans.items():
            if error is None and one not in self._refused:
                lines.tell("processed", span, what=one.destination)
            elif error is not None:
                lines.tell("not_processed", span, what=one.destination, error=type(error).__name__)
            spans.end(span, error)


@contextmanager
def processing(system: str, came: Iterable[Came], about: Attributes) -> Iterator[Processing]:
    """While it lasts the task works for all whose messages came and who are recorded."""
    made = Processing(system, came, about)
    try:
        with context.Serving(made.spans.values()):
            yield made
    except BaseException as error:
        made.end(error)
        raise
    made.end()

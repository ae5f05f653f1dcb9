"""Makes spans with the library of OpenTelemetry; loaded only where they are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

from services.shared.runtime.context import TraceContext

Attribute = str | int | float | bool
Kind = Literal["SERVER", "CLIENT", "PRODUCER", "CONSUMER", "INTERNAL"]
MOST_LINKS: Final = 100
"""Of one span: what is done for more names the first of them."""

_ROOT: Final = Context()
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class Maker:
    """Starts spans. Whether one is wanted is decided before: every span made here is kept."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def start(
        self,
        name: str,
        kind: Kind,
        parent: Span | None,
        attributes: Mapping[str, Attribute],
        links: Sequence[Span] = (),
    ) -> Span:
        """A span below `parent`, or the first of a trace, with links to others."""
        return self._tracer.start_span(
            name,
            _ROOT if parent is None else set_span_in_context(parent, _ROOT),
            SpanKind[kind],
            attributes,
            [Link(one.get_span_context()) for one in links[:MOST_LINKS]],
        )

    def remote(self, trace: TraceContext) -> Span:
        """A span of another process, or one that has ended: something to be below."""
        return NonRecordingSpan(
            SpanContext(int(trace.trace_id, 16), int(trace.span_id, 16), True, _SAMPLED)
        )

    def identity(self, span: Span) -> TraceContext:
        """What to pass on."""
        known = span.get_span_context()
        return TraceContext(f"{known.trace_id:032x}", f"{known.span_id:016x}", True)

    def fail(self, span: Span, error: str) -> None:
        """Say that it went wrong, by the kind of its error."""
        span.set_attribute("error.type", error)
        span.set_status(StatusCode.ERROR)

"""Spans as they are made, kept in this process, and the trees that they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from services.shared.runtime import context
from services.shared.tracing import spans
from services.shared.tracing.making import Maker

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = f"00-{TRACE}-{SPAN}-01"
"""A caller whose span is recorded."""

Tree = dict[str, Any]
"""Name of a span to the tree of those below it; of several with one name the last."""


class Spans:
    """Those that have ended."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    @property
    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [one for one in self.all if one.name == name]

    def one(self, name: str) -> ReadableSpan:
        [found] = self.named(name)
        return found

    def tree(self, trace_id: str = TRACE) -> Tree:
        """All of a trace whose parents are none of these, with what is below them."""
        found = [one for one in self.all if trace_of(one) == trace_id]
        known = {span_of(one) for one in found}
        roots = [one for one in found if parent_of(one) not in known]
        return {one.name: _below(one, found) for one in _by_start(roots)}

    def forget(self) -> None:
        self._exporter.clear()


@contextmanager
def recording(sampling: float = 0.0) -> Iterator[Spans]:
    """Have the services' code make spans here; `sampling` is of those that nobody calls for."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans.use(Maker(provider.get_tracer("test")))
    context.sample(sampling)
    try:
        yield Spans(exporter)
    finally:
        context.sample(0)
        spans.use(None)


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def span_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.span_id:016x}"


def parent_of(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"


def links_of(span: ReadableSpan) -> set[str]:
    return {f"{link.context.span_id:016x}" for link in span.links}


def about(span: ReadableSpan) -> Mapping[str, Any]:
    return span.attributes or {}


def caller(number: int, *, sampled: bool = True) -> str:
    """The traceparent of one of many callers, each with a trace of its own."""
    return f"00-{number:032x}-{number:016x}-{'01' if sampled else '00'}"


def _below(span: ReadableSpan, found: list[ReadableSpan]) -> Tree:
    own = [one for one in found if parent_of(one) == span_of(span)]
    return {one.name: _below(one, found) for one in _by_start(own)}


def _by_start(some: list[ReadableSpan]) -> list[ReadableSpan]:
    return sorted(some, key=lambda one: one.start_time or 0)

"""W3C trace context and the correlation id, carried from request to event and back, and which span
the current task works for. Knows no library of traces: services/shared/tracing makes the spans.

https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, NamedTuple

import structlog
from structlog.typing import EventDict, WrappedLogger

from services.contracts.ids import new_id

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")
# Seeded by the system once; who could guess a trace's id has gained nothing.
_RANDOM = random.Random()  # noqa: S311
_ratio = 0.0


class TraceContext(NamedTuple):
    """One span of a trace: 32 and 16 hex digits, and whether it is sampled: whether those who come
    by it make spans that are kept."""

    trace_id: str
    span_id: str
    sampled: bool

    @classmethod
    def new(cls) -> TraceContext:
        """The first span of a new trace, sampled as sample() has it."""
        digits = f"{_RANDOM.getrandbits(192):048x}"
        return cls(digits[:32], digits[32:], _ratio > 0 and _RANDOM.random() < _ratio)

    @classmethod
    def parse(cls, header: str | None) -> TraceContext | None:
        """The caller's span from its traceparent header; None when absent or malformed."""
        match = _TRACEPARENT.fullmatch(header) if header else None
        if match is None:
            return None
        version, trace_id, span_id, flags, rest = match.groups()
        # Version 00 has exactly four fields; all-zero ids mean "no trace".
        if (version == "00" and rest) or not int(trace_id, 16) or not int(span_id, 16):
            return None
        return cls(trace_id, span_id, bool(int(flags, 16) & 1))

    def child(self) -> TraceContext:
        """A new span in the same trace."""
        return TraceContext(self.trace_id, f"{_RANDOM.getrandbits(64):016x}", self.sampled)

    @property
    def traceparent(self) -> str:
        """The header to pass on."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


_Bound = tuple[str | None, TraceContext | None, str | None, "Span | None", "Sequence[Span]"]
"""Correlation id, trace and client for log lines; the span that is worked for, and further ones."""
_NOTHING: _Bound = (None, None, None, None, ())
_BOUND: ContextVar[_Bound] = ContextVar("bound", default=_NOTHING)
# One variable with what is there anyway: nothing is put together unless a line is logged.


def sample(ratio: float) -> None:
    """Let that share of the traces that begin here be sampled, 0 to 1. At first none is: nobody
    would keep their spans."""
    global _ratio  # noqa: PLW0603 - of the process, as the place that spans go to
    _ratio = ratio


def continue_trace(traceparent: str | None) -> TraceContext:
    """A span below the caller's, or a new trace when there is no usable caller."""
    parent = TraceContext.parse(traceparent)
    return parent.child() if parent else TraceContext.new()


def accept_correlation_id(given: str | None) -> str:
    """The caller's correlation id when it is harmless to log and store, else a new one."""
    return given if given and _CORRELATION_ID.fullmatch(given) else new_id()


def bind(correlation_id: str | None, trace: TraceContext, span: Span | None = None) -> None:
    """Put both ids on every log line of the current task, in place of those bound before, and have
    it work for `span`, if the trace is recorded."""
    _BOUND.set((correlation_id, trace, None, span, ()))


def identify(client_id: str) -> None:
    """Put the client as well on every log line of the current task, until something is bound."""
    correlation_id, trace, _, span, others = _BOUND.get()
    if trace is not None:
        _BOUND.set((correlation_id, trace, client_id, span, others))


def unbind() -> None:
    """For a task that outlives, or serves others than, the request that started it."""
    structlog.contextvars.clear_contextvars()
    _BOUND.set(_NOTHING)


def span() -> Span | None:
    """The span that the current task works for, if it is recorded: what is done is below it."""
    return _BOUND.get()[3]


def others() -> Sequence[Span]:
    """Spans that it works for as well: what is done for several is below the first, and names the
    others as its links."""
    return _BOUND.get()[4]


def keep_span() -> None:
    """Forget all but the span, for a task that does once what several wait for."""
    kept = _BOUND.get()[3]
    unbind()
    if kept is not None:
        _BOUND.set((None, None, None, kept, ()))


class Serving:
    """While it lasts the current task works for these spans, if there are any, and its log lines
    name nobody: they are about all of them."""

    __slots__ = ("_spans", "_token")

    def __init__(self, spans: Iterable[Span | None]) -> None:
        self._spans = [one for one in spans if one is not None]
        self._token: Token[_Bound] | None = None

    def __enter__(self) -> None:
        if self._spans:
            first, *rest = self._spans
            self._token = _BOUND.set((None, None, None, first, rest))

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _BOUND.reset(self._token)


def enter(span: Span) -> Token[_Bound]:
    """Work for `span`, a step of what the task works for, until leave()."""
    correlation_id, trace, client_id, *_ = _BOUND.get()
    return _BOUND.set((correlation_id, trace, client_id, span, ()))


def leave(entered: Token[_Bound]) -> None:
    """Work for what was worked for before enter()."""
    _BOUND.reset(entered)


def ids_in(traceparent: str | bytes | None) -> dict[str, str]:
    """For a log line about one message of many: the ids in the traceparent that came with it."""
    text = traceparent.decode("latin-1") if isinstance(traceparent, bytes) else traceparent
    trace = TraceContext.parse(text)
    return {"trace_id": trace.trace_id, "span_id": trace.span_id} if trace else {}


def add_ids(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A processor of log lines: what is bound."""
    correlation_id, trace, client_id, *_ = _BOUND.get()
    if trace is not None:
        event.setdefault("correlation_id", correlation_id)
        event.setdefault("trace_id", trace.trace_id)
        event.setdefault("span_id", trace.span_id)
        if client_id is not None:
            event.setdefault("client_id", client_id)
    return event

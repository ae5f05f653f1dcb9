"""W3C trace context and the correlation id, carried from request to event and back.

https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import random
import re
from contextvars import ContextVar
from typing import NamedTuple

import structlog
from structlog.typing import EventDict, WrappedLogger

from services.contracts.ids import new_id

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")
# Seeded by the system once; who could guess a trace's id has gained nothing.
_RANDOM = random.Random()  # noqa: S311


class TraceContext(NamedTuple):
    """One span of a trace: 32 and 16 hex digits, and whether it is sampled."""

    trace_id: str
    span_id: str
    sampled: bool

    @classmethod
    def new(cls) -> TraceContext:
        """The first span of a new trace, sampled."""
        digits = f"{_RANDOM.getrandbits(192):048x}"
        return cls(digits[:32], digits[32:], True)

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


_BOUND: ContextVar[tuple[str | None, TraceContext, str | None] | None] = ContextVar(
    "bound", default=None
)
# One variable with what is there anyway: nothing is put together unless a line is logged.


def continue_trace(traceparent: str | None) -> TraceContext:
    """A span below the caller's, or a new trace when there is no usable caller."""
    parent = TraceContext.parse(traceparent)
    return parent.child() if parent else TraceContext.new()


def accept_correlation_id(given: str | None) -> str:
    """The caller's correlation id when it is harmless to log and store, else a new one."""
    return given if given and _CORRELATION_ID.fullmatch(given) else new_id()


def bind(correlation_id: str | None, trace: TraceContext) -> None:
    """Put both ids on every log line of the current task, in place of those bound before."""
    _BOUND.set((correlation_id, trace, None))


def identify(client_id: str) -> None:
    """Put the client as well on every log line of the current task, until something is bound."""
    bound = _BOUND.get()
    if bound is not None:
        _BOUND.set((bound[0], bound[1], client_id))


def unbind() -> None:
    """For a task that outlives, or serves others than, the request that started it."""
    structlog.contextvars.clear_contextvars()
    _BOUND.set(None)


def add_ids(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A processor of log lines: what is bound."""
    bound = _BOUND.get()
    if bound is not None:
        correlation_id, trace, client_id = bound
        event.setdefault("correlation_id", correlation_id)
        event.setdefault("trace_id", trace.trace_id)
        event.setdefault("span_id", trace.span_id)
        if client_id is not None:
            event.setdefault("client_id", client_id)
    return event

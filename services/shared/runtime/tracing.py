"""W3C trace context and the correlation id, carried from request to event and back.

https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

import structlog

from services.contracts.ids import new_id

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """One span of a trace: 32 and 16 hex digits, and whether it is sampled."""

    trace_id: str
    span_id: str
    sampled: bool

    @classmethod
    def new(cls) -> TraceContext:
        """The first span of a new trace, sampled."""
        return cls(secrets.token_hex(16), secrets.token_hex(8), True)

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
        return TraceContext(self.trace_id, secrets.token_hex(8), self.sampled)

    @property
    def traceparent(self) -> str:
        """The header to pass on."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def continue_trace(traceparent: str | None) -> TraceContext:
    """A span below the caller's, or a new trace when there is no usable caller."""
    parent = TraceContext.parse(traceparent)
    return parent.child() if parent else TraceContext.new()


def accept_correlation_id(given: str | None) -> str:
    """The caller's correlation id when it is harmless to log and store, else a new one."""
    return given if given and _CORRELATION_ID.fullmatch(given) else new_id()


def bind(correlation_id: str | None, trace: TraceContext) -> None:
    """Put both ids on every log line of the current task, and drop what was bound before."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(
        correlation_id=correlation_id, trace_id=trace.trace_id, span_id=trace.span_id
    )

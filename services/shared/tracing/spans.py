"""Spans of what a service does, named and described as OpenTelemetry's semantic conventions have it
(https://opentelemetry.io/docs/specs/semconv/).

None is made, and what would make and send them is not loaded, unless the process was told where
they go; and then only in traces that are sampled, which is decided where they begin. All that is
done for the others is a look at a variable of the task
(docs/decisions/0058-spans-where-the-paths-are-ours.md).

What is said of an error is its kind, never its text: servers put values into that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from contextvars import Token
from typing import TYPE_CHECKING, Any, Final

from services.shared.runtime import context
from services.shared.runtime.context import TraceContext

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from services.shared.tracing.making import Attribute, Kind, Maker

    Attributes = Mapping[str, Attribute]
    Block = contextlib.AbstractContextManager[Span | None]

_maker: Maker | None = None
_ASKED: Final = "recorded() says whether there is anything to make"
_ASKED_FOR: Final[Attributes] = {"millrace.asked_for": True}
"""Of a request whose caller had it recorded: who throws traces away keeps these."""
_FAULTS_OF_SERVERS: Final = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
UNTRACED: Final[contextlib.nullcontext[None]] = contextlib.nullcontext()
"""A block of what is not recorded."""


def use(maker: Maker | None) -> None:
    """Make spans with `maker` from now on, or none."""
    global _maker  # noqa: PLW0603 - of the process, as the place that spans go to
    _maker = maker


def on() -> bool:
    """Whether any are made here."""
    return _maker is not None


class Step:
    """A span for as long as the block lasts; what is traced within it is below it."""

    __slots__ = ("_entered", "_span")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._entered: Token[Any] | None = None

    def __enter__(self) -> Span:
        self._entered = context.enter(self._span)
        return self._span

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        assert self._entered is not None
        context.leave(self._entered)
        end(self._span, error)


def step(name: str, kind: Kind, attributes: Attributes) -> Block:
    """A step of what the task works for; without a span where that is not recorded.

    What is done for several at once is below the first of them, with links to the others.
    """
    parent = context.span()
    if _maker is None or parent is None:
        return UNTRACED
    return Step(_maker.start(name, kind, parent, attributes, context.others()))


def sending(system: str, destination: str, count: int) -> Block:
    """Messages of one origin, on their way until somebody has them for certain."""
    if _maker is None or context.span() is None:
        return UNTRACED
    attributes = {**_messaging(system, "send", destination), "messaging.batch.message_count": count}
    return step(f"send {destination}", "PRODUCER", attributes)


def passed_on(span: Span | None, otherwise: str) -> str:
    """The traceparent for what goes out: the span's, or where there is none, another."""
    return otherwise if span is None or _maker is None else _maker.identity(span).traceparent


def ids(span: Span) -> dict[str, str]:
    """For a log line about what the span is of."""
    return {} if _maker is None else context.ids_in(_maker.identity(span).traceparent)


def end(span: Span, error: BaseException | None = None) -> None:
    """End it; with an error as what became of it."""
    if error is not None:
        fail(span, type(error).__name__)
        code = _code(error)
        if code is not None:
            span.set_attribute("db.response.status_code", str(code))
    span.end()


def fail(span: Span, kind: str) -> None:
    """Say that it went wrong, by the kind of its error."""
    if _maker is not None:
        _maker.fail(span, kind)


def exemplar() -> dict[str, str] | None:
    """For a histogram: the trace in which what is observed can be looked at."""
    if _maker is None or (span := context.span()) is None:
        return None
    return {"trace_id": _maker.identity(span).trace_id}


def exemplar_of(traceparent: str | bytes | None) -> dict[str, str] | None:
    """The same of one message among many."""
    found = recorded(traceparent)
    return None if found is None else {"trace_id": found.trace_id}


def server(
    traceparent: str | None, *, quiet: bool, protocol: str = "HTTP"
) -> tuple[TraceContext, Span | None]:
    """Where a request comes in: what to pass on, and the span, if it is recorded.

    quiet: only for a caller whose own span is.
    """
    parent = TraceContext.parse(traceparent)
    trace = TraceContext.new() if parent is None else parent.child()
    if not trace.sampled or _maker is None or (quiet and parent is None):
        return trace, None
    above, about = (None, {}) if parent is None else (_maker.remote(parent), _ASKED_FOR)
    span = _maker.start(protocol, "SERVER", above, about)
    return _maker.identity(span), span


def answered(span: Span, method: str, route: str, status: int, about: Attributes) -> None:
    """What became of a request; ends the span."""
    span.update_name(f"{method} {route}")
    span.set_attributes(
        {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
            **about,
        }
    )
    if status >= 500:
        fail(span, str(status))
    span.end()


def called(span: Span, method: str, code: str, about: Attributes) -> None:
    """What became of a call by gRPC; ends the span."""
    span.update_name(method)
    span.set_attributes(
        {
            "rpc.system.name": "grpc",
            "rpc.method": method,
            "rpc.response.status_code": code,
            **about,
        }
    )
    if code in _FAULTS_OF_SERVERS:
        fail(span, code)
    span.end()


def recorded(traceparent: str | bytes | None) -> TraceContext | None:
    """The span that a message comes from, if spans are made for it here."""
    if _maker is None or not traceparent:
        return None
    text = traceparent.decode("latin-1") if isinstance(traceparent, bytes) else traceparent
    found = TraceContext.parse(text)
    return found if found is not None and found.sampled else None


def outgoing(origin: TraceContext, system: str, destination: str, about: Attributes) -> Span:
    """A message that is sent for `origin`, which is recorded(); the caller ends the span."""
    assert _maker is not None, _ASKED
    attributes = {**_messaging(system, "send", destination), **about}
    return _maker.start(f"send {destination}", "PRODUCER", _maker.remote(origin), attributes)


def incoming(
    origin: TraceContext,
    system: str,
    destination: str,
    about: Attributes,
    links: Sequence[Span] = (),
) -> Span:
    """Messages of one origin, which is recorded(), worked on here; the caller ends the span."""
    assert _maker is not None, _ASKED
    name, parent = f"process {destination}", _maker.remote(origin)
    attributes = {**_messaging(system, "process", destination), **about}
    return _maker.start(name, "CONSUMER", parent, attributes, links)


def of(origin: TraceContext) -> Span:
    """What is recorded(), as something to have steps below."""
    assert _maker is not None, _ASKED
    return _maker.remote(origin)


def also_of(origins: Iterable[str | bytes | None]) -> context.Serving:
    """While it lasts the task works for what came with these traceparents, too, as far as it is
    recorded: what is done once for all of it has links to these."""
    found = [of(origin) for origin in map(recorded, origins) if origin is not None]
    return context.Serving([context.span(), *context.others(), *found] if found else ())


def _messaging(system: str, operation: str, destination: str) -> dict[str, Attribute]:
    return {
        "messaging.system": system,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": destination,
    }


def _code(error: BaseException) -> str | int | None:
    """What a database calls it: PostgreSQL's drivers name it, MySQL's give it first."""
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return state
    of_mysql = type(error).__module__.startswith("pymysql") and error.args
    return error.args[0] if of_mysql and isinstance(error.args[0], int) else None

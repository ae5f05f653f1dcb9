"""A call as its handler sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from services.shared.runtime import context
from services.shared.tracing import spans

CORRELATION_ID = "x-correlation-id"
"""Metadata of requests, where a client may set it, and of all answers."""

Metadata = Mapping[str, str | bytes]
"""By names in lower case; of several with one name the first. Names that end in -bin have bytes."""


_WAITED: Final = ContextVar("waited", default=0.0)


class Call(NamedTuple):
    """One call, beside its message."""

    metadata: Metadata
    correlation_id: str
    traceparent: str
    """Of what is done for it: to pass on."""
    deadline: float
    """When it is given up, by the clock of the event loop."""

    def remaining(self) -> float:
        """Seconds until it is given up, 0 from then on."""
        return max(self.deadline - asyncio.get_running_loop().time(), 0.0)


def read(context_of_call: Any) -> dict[str, str | bytes]:
    """The metadata that came with a call."""
    given = context_of_call.invocation_metadata()
    found: dict[str, str | bytes] = dict(reversed(given))
    if len(found) != len(given):
        # Several of one name are one list, which no token is.
        several = [str(value) for name, value in given if name == "authorization"]
        if len(several) > 1:
            found["authorization"] = ", ".join(several)
    return found


def text(metadata: Metadata, name: str) -> str | None:
    """What came under a name that has no bytes."""
    value = metadata.get(name)
    return value if isinstance(value, str) else None


@contextmanager
def waiting() -> Iterator[None]:
    """What is done inside waits because the client asked for that: it is not counted as time that
    the call took, or who waits for long would look like a service that is slow."""
    began = time.perf_counter()
    try:
        yield
    finally:
        _WAITED.set(_WAITED.get() + time.perf_counter() - began)


def waited() -> float:
    """Seconds of the current call that its client asked to wait."""
    return _WAITED.get()


def address(context_of_call: Any) -> str | None:
    """The network address that a call came from; None: it came another way."""
    kind, _, rest = context_of_call.peer().partition(":")
    if kind not in ("ipv4", "ipv6"):
        return None
    return unquote(rest.rpartition(":")[0]).strip("[]")


def begin(metadata: Metadata, deadline: float, *, quiet: bool) -> Call:
    """A call with its ids; the current task works for it from now on."""
    correlation_id = context.accept_correlation_id(text(metadata, CORRELATION_ID))
    trace, span = spans.server(text(metadata, "traceparent"), quiet=quiet, protocol="gRPC")
    context.bind(correlation_id, trace, span)
    return Call(metadata, correlation_id, trace.traceparent, deadline)

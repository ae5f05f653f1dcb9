"""What is counted and logged of the calls of one method."""

from __future__ import annotations

import time

import grpc
from prometheus_client import Counter

from services.shared.grpc import calls
from services.shared.grpc.metrics import GrpcMetrics
from services.shared.runtime import context
from services.shared.runtime.logging import get_logger
from services.shared.tracing import lines, spans

log = get_logger(__name__)

SLOW_SECONDS = 1.0
"""From here on a call is logged though it went well; a stream is meant to last."""
_OK, _CANCELLED = grpc.StatusCode.OK, grpc.StatusCode.CANCELLED


class MethodBooks:
    """Those of one method."""

    def __init__(
        self,
        metrics: GrpcMetrics,
        service: str,
        method: str,
        *,
        streams: str = "",
        log_all: bool = False,
        quiet: bool = False,
    ) -> None:
        """`streams`: "client", "server" or "bidi", the sides that send more than one message."""
        kind = f"{streams}_stream" if streams else "unary"
        self._name = f"{service}/{method}"
        self._streams = bool(streams)
        self._log_all = log_all
        self._quiet = quiet
        self._of = (service, method, kind)
        self._handled = metrics.handled
        # Looking a metric up by its labels costs more than counting.
        self._started = metrics.started.labels(*self._of)
        self._seconds = metrics.seconds.labels(*self._of)
        self._by_code: dict[grpc.StatusCode, Counter] = {}

    def begin(self) -> float:
        """One more call. What note() wants to know of it."""
        self._started.inc()
        return time.perf_counter()

    def note(self, started: float, code: grpc.StatusCode, correlation_id: str, path: str) -> None:
        """How a call ended; its trace, if that is recorded, is the example of it."""
        seconds = time.perf_counter() - started - calls.waited()
        handled = self._by_code.get(code)
        if handled is None:
            handled = self._by_code[code] = self._handled.labels(*self._of, code.name)
        handled.inc()
        self._seconds.observe(seconds, spans.exemplar())
        if self._worth_a_line(code, seconds):
            log.info("call", method=path, code=code.name, duration_ms=round(seconds * 1000, 2))
        span = context.span()
        if span is not None:
            spans.called(span, self._name, code.name, {"millrace.correlation_id": correlation_id})

    def _worth_a_line(self, code: grpc.StatusCode, seconds: float) -> bool:
        if code is not _OK and not (self._streams and code is _CANCELLED):
            return True  # who has seen enough of a stream has no other way to end it
        slow = seconds >= SLOW_SECONDS and not self._streams
        return not self._quiet and (self._log_all or slow or lines.worth_one())

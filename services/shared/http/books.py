"""What is counted of HTTP requests, and which of them are logged."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from services.shared.runtime.logging import get_logger
from services.shared.runtime.metrics import HttpMetrics
from services.shared.tracing import lines, spans

log = get_logger(__name__)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Probes and scrapes come every few seconds and say nothing when they succeed.
QUIET = frozenset({"/health", "/ready", "/metrics"})
SLOW_SECONDS = 1.0
"""From here on a request is logged though it went well."""


class Books:
    """Those of one application."""

    def __init__(self, metrics: HttpMetrics, log_all: bool) -> None:
        self._metrics = metrics
        self._log_all = log_all
        # Looking a metric up by its labels costs more than counting. Labels are few.
        self._found: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def note(self, method: str, route: str, path: str, status: int, seconds: float) -> None:
        """One request, and how it ended; its trace, if that is recorded, is the example of it."""
        found = self._found.get((method, route, status))
        if found is None:
            found = self._found[method, route, status] = (
                self._metrics.requests.labels(method, route, str(status)),
                self._metrics.duration.labels(method, route),
            )
        requests, duration = found
        requests.inc()
        duration.observe(seconds, spans.exemplar())
        if status >= 400 or (
            route not in QUIET and (self._log_all or seconds >= SLOW_SECONDS or lines.worth_one())
        ):
            log.info(
                "request",
                method=method,
                route=route,
                path=path[:200],
                status=status,
                duration_ms=round(seconds * 1000, 2),
            )

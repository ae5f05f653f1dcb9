"""What is counted of HTTP requests, and which of them are logged."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from services.shared.runtime.logging import get_logger
from services.shared.runtime.metrics import HttpMetrics

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
        """One request, and how it ended."""
        # Anything may stand in the path or the method of a request; labels must stay few.
        if method not in METHODS:
            method = "other"
        found = self._found.get((method, route, status))
        if found is None:
            found = self._found[method, route, status] = (
                self._metrics.requests.labels(method, route, str(status)),
                self._metrics.duration.labels(method, route),
            )
        requests, duration = found
        requests.inc()
        duration.observe(seconds)
        if status >= 400 or ((self._log_all or seconds >= SLOW_SECONDS) and route not in QUIET):
            log.info(
                "request",
                method=method,
                route=route,
                path=path[:200],
                status=status,
                duration_ms=round(seconds * 1000, 2),
            )

"""What watches, watched: Prometheus, Alertmanager, and Grafana where the stack has it."""

from typing import Any, Final

from infra.model.objects import ALERTMANAGER, GRAFANA, PROMETHEUS
from infra.monitoring import exporters
from infra.monitoring.scraping.parts import host, pods, tls

_PORT: Final = "https"
_OF_ITSELF: Final = ("process_cpu_seconds_total", "process_resident_memory_bytes")
_EXPOSED: Final = ("prometheus_", "alertmanager_")
"""What their metrics begin with; all others of that table Prometheus makes itself."""


def of_monitoring() -> list[dict[str, Any]]:
    """A job each, as each has a certificate of its own name."""
    return [
        pods(name, [(name, _PORT)], keep=_kept(), more=tls(host(name)))
        for name in (PROMETHEUS, ALERTMANAGER, GRAFANA)
    ]


def _kept() -> frozenset[str]:
    told = exporters.names("Prometheus") | exporters.names("Alertmanager")
    return frozenset((*(name for name in told if name.startswith(_EXPOSED)), *_OF_ITSELF))

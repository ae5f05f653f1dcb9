"""Who keeps logs, and who reads them on each node."""

from typing import Any, Final

from infra.model.objects import LOG_READER, LOGGING, LOKI
from infra.model.settings import PlatformSettings
from infra.monitoring import exporters
from infra.monitoring.scraping.parts import host, pods, tls

_STORE: Final = (*("process_cpu_seconds_total", "process_resident_memory_bytes"),)


def of_logs(settings: PlatformSettings) -> list[dict[str, Any]]:
    """Jobs of Prometheus; none where the stack keeps no logs."""
    if not settings.logs.enabled:
        return []
    kept = exporters.names("Loki")
    read = exporters.names("OpenTelemetry Collector, file receiver")
    return [
        pods(LOKI, [(LOKI, "https")], keep=(*_STORE, *kept), more=tls(host(LOKI))),
        pods(LOG_READER, [(LOG_READER, "own")], keep=read)
        | {"kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [LOGGING]}}]},
    ]

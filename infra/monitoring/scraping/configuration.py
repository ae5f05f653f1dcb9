"""prometheus.yml, whole."""

from collections.abc import Iterable
from typing import Any, Final

from infra.model.objects import ALERTMANAGER
from infra.model.records import Records
from infra.model.settings import PlatformSettings
from infra.monitoring.rules import written
from infra.monitoring.scraping.kubernetes import of_nodes
from infra.monitoring.scraping.own import of_monitoring
from infra.monitoring.scraping.parts import host, interval, tls
from infra.monitoring.scraping.services import of_services

_TIMEOUT: Final = "10s"
_ALERTMANAGER_PORT: Final = 9093
_MOST_SAMPLES: Final = 50_000
"""Of one target: a label that went wild is refused, and TargetDown tells."""


def configuration(
    records: Records,
    settings: PlatformSettings,
    *,
    rule_files: str,
    more: Iterable[dict[str, Any]] = (),
) -> str:
    """Prometheus' file, as YAML.

    Args:
        rule_files: where they are, as a pattern.
        more: jobs beside those of services, nodes, and what watches.
    """
    alertmanager = host(ALERTMANAGER)
    return written(
        {
            "global": {
                "scrape_interval": interval(),
                "scrape_timeout": _TIMEOUT,
                "evaluation_interval": interval(),
                "sample_limit": _MOST_SAMPLES,
                # Every job sees every pod; those of others are not worth remembering.
                "keep_dropped_targets": 1,
            },
            "rule_files": [rule_files],
            "alerting": {
                "alertmanagers": [
                    {
                        **tls(alertmanager),
                        "static_configs": [{"targets": [f"{alertmanager}:{_ALERTMANAGER_PORT}"]}],
                    }
                ]
            },
            "scrape_configs": [
                *of_services(records),
                *of_nodes(verified=settings.monitoring.prometheus.kubelet_verified),
                *of_monitoring(),
                *more,
            ],
        }
    )

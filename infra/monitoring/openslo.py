"""The objectives in OpenSLO, for tools that are not ours.

Source: OpenSLO specification, version `openslo/v1`.
"""

from typing import Any

import yaml

from infra.model.records import RECORDS, Records
from infra.monitoring.rules import Document
from infra.monitoring.slos import PERIOD_DAYS, Slo, slos

_API = "openslo/v1"


def exported(records: Records = RECORDS) -> str:
    """A YAML stream: a data source, then every service that promises something, with its SLOs."""
    promising = dict.fromkeys(slo.service for slo in slos(records))
    return yaml.safe_dump_all(
        [
            _object("DataSource", "prometheus", {"type": "Prometheus", "connectionDetails": {}}),
            *(_object("Service", name, {"description": name}) for name in promising),
            *(_slo(slo) for slo in slos(records)),
        ],
        sort_keys=False,
        width=100,
        allow_unicode=True,
    )


def _object(kind: str, name: str, spec: Document) -> Document:
    return {"apiVersion": _API, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _slo(slo: Slo) -> Document:
    return _object(
        "SLO",
        slo.name,
        {
            "description": slo.said,
            "service": slo.service,
            "indicator": {
                "metadata": {"name": slo.name},
                "spec": {
                    "ratioMetric": {
                        "counter": False,  # both are rates already
                        "bad": _metric(slo.bad),
                        "total": _metric(slo.total),
                    }
                },
            },
            "timeWindow": [{"duration": f"{PERIOD_DAYS}d", "isRolling": True}],
            "budgetingMethod": "Occurrences",
            "objectives": [{"displayName": slo.promise.indicator.promise, "target": slo.target}],
        },
    )


def _metric(query: str) -> dict[str, Any]:
    return {
        "metricSource": {
            "metricSourceRef": "prometheus",
            "type": "Prometheus",
            "spec": {"query": query},
        }
    }

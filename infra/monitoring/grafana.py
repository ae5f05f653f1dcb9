"""The boards as Grafana's files: a dashboard each, and how it finds them and what it asks."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from infra.model.records import Records
from infra.monitoring.boards import boards
from infra.monitoring.boards.board import COLUMNS, Board, Kind, Need, Row
from infra.monitoring.grafana_panels import COLOURS, SOURCE, drawn

SCHEMA: Final = 42
"""Of the newest Grafana; it writes older ones anew, and says so at each start."""
FOLDER: Final = "Millrace"
TAG: Final = "millrace"
SOURCE_UID: Final = "millrace-prometheus"
LOGS_UID: Final = "millrace-loki"
TRACES_UID: Final = "millrace-jaeger"
_GRID: Final = 24
_HEIGHT: Final[Mapping[Kind, int]] = {
    "lines": 8,
    "areas": 8,
    "stat": 4,
    "bars": 8,
    "states": 8,
}


def files(
    records: Records,
    *,
    has: Collection[Need],
    prometheus: str,
    loki: str | None = None,
    jaeger: str | None = None,
    ca_file: str | None = None,
    folder: str = f"/etc/grafana/provisioning/{TAG}",
) -> dict[str, str]:
    """Path below Grafana's provisioning folder to text.

    Args:
        records: the population.
        has: what the stack has of what not every stack has.
        prometheus: its URL, as Grafana reaches it.
        loki: the same of what keeps logs; None: nothing does.
        jaeger: the same of what keeps traces; None: nothing in this stack does.
        ca_file: where Grafana has the certificate that signed theirs, if that is https.
        folder: where Grafana has the dashboards.
    """
    return {
        "datasources/sources.yaml": _written(_sources(prometheus, loki, jaeger, ca_file)),
        "dashboards/millrace.yaml": _written(_provider(folder)),
        **{
            f"{TAG}/{board.slug}.json": _written(dashboard(board))
            for board in boards(records, has=has)
        },
    }


def _written(document: Mapping[str, Any]) -> str:
    """JSON is YAML as well. No line ends: all of them go into one ConfigMap, which holds 1 MiB."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"


def _sources(
    prometheus: str, loki: str | None, jaeger: str | None, ca_file: str | None
) -> dict[str, Any]:
    asked = {"httpMethod": "POST", "manageAlerts": False}
    main = _source("Prometheus", SOURCE_UID, prometheus, asked, ca_file) | {"isDefault": True}
    # It has no rules of its own.
    logs = [_source("Loki", LOGS_UID, loki, {"manageAlerts": False}, ca_file)] if loki else []
    traces = [_source("Jaeger", TRACES_UID, jaeger, {}, ca_file)] if jaeger else []
    return {"apiVersion": 1, "datasources": [main, *logs, *traces]}


def _source(
    name: str, uid: str, url: str, asked: Mapping[str, Any], ca_file: str | None
) -> dict[str, Any]:
    tls = {"tlsAuthWithCACert": True} if ca_file else {}
    secret = {"secureJsonData": {"tlsCACert": f"$__file{{{ca_file}}}"}} if ca_file else {}
    return {
        "name": name,
        "uid": uid,
        "type": name.lower(),
        "access": "proxy",
        "url": url,
        "editable": False,
        "jsonData": {**asked, **tls},
        **secret,
    }


def _provider(folder: str) -> dict[str, Any]:
    return {
        "apiVersion": 1,
        "providers": [
            {
                "name": TAG,
                "folder": FOLDER,
                "folderUid": TAG,
                "type": "file",
                "allowUiUpdates": False,  # what is changed by hand is gone with the pod
                "options": {"path": folder},
            }
        ],
    }


def uid(board: Board) -> str:
    """Stable, so that links and bookmarks outlast an update."""
    return f"{TAG}-{board.slug}"


def dashboard(board: Board) -> dict[str, Any]:
    """One dashboard, as Grafana's own export writes it."""
    return {
        "uid": uid(board),
        "title": board.title,
        "description": board.explains,
        "tags": [TAG],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,  # one crosshair for all panels
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "utc",
        "refresh": "30s",
        "annotations": {"list": [_alerts()]},
        "links": [
            {
                "title": "Boards",
                "type": "dashboards",
                "tags": [TAG],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "templating": {"list": [_variable()]},
        "panels": list(_panels(board.rows)),
    }


def _variable() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "current": {"text": "Prometheus", "value": SOURCE_UID},
        "hide": 0,
        "refresh": 1,
        "options": [],
    }


def _alerts() -> dict[str, Any]:
    return {
        "name": "Alerts",
        "datasource": dict(SOURCE),
        "enable": True,
        "hide": False,
        "iconColor": COLOURS["critical"],
        "expr": 'ALERTS{alertstate="firing"}',
        "titleFormat": "{{alertname}} {{job}}",
        "step": "60s",
    }


def _panels(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """With their places: from left to right, and below what was highest of the line before."""
    y, number = 0, 0
    for row in rows:
        number += 1
        place = {"x": 0, "y": y, "w": _GRID, "h": 1}
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": place,
            "panels": [],
        }
        y, x, height = y + 1, 0, 0
        for panel in row.panels:
            wide, high = panel.width * _GRID // COLUMNS, _HEIGHT[panel.kind]
            if x + wide > _GRID:
                y, x, height = y + height, 0, 0
            number += 1
            yield {
                "id": number,
                "gridPos": {"x": x, "y": y, "w": wide, "h": high},
                **drawn(panel),
            }
            x, height = x + wide, max(height, high)
        y += height

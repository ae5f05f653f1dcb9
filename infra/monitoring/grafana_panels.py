"""Panels as Grafana has them: queries, units, limits and how each kind is drawn."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from infra.monitoring.boards.board import WINDOW, Kind, Level, Panel, Threshold, Unit

SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
"""What a dashboard's variable says."""
_UNITS: Final[Mapping[Unit, str]] = {
    Unit.COUNT: "short",
    Unit.PER_SECOND: "suffix:/s",
    Unit.SECONDS: "s",
    Unit.BYTES: "bytes",
    Unit.BYTES_PER_SECOND: "binBps",
    Unit.RATIO: "percentunit",
    Unit.CORES: "suffix: cores",
    Unit.DAYS: "d",
    Unit.YES_NO: "bool_yes_no",
}
COLOURS: Final[Mapping[Level, str]] = {"warning": "orange", "critical": "red"}
_PLUGINS: Final[Mapping[Kind, str]] = {
    "lines": "timeseries",
    "areas": "timeseries",
    "stat": "stat",
    "bars": "bargauge",
    "states": "state-timeline",
}


def drawn(panel: Panel) -> dict[str, Any]:
    """A panel, but for its number and place."""
    return {
        "type": _PLUGINS[panel.kind],
        "title": panel.title,
        "description": panel.explains,
        "datasource": dict(SOURCE),
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": dict(SOURCE),
                "editorMode": "code",
                "expr": query.expr.replace(WINDOW, "$__rate_interval"),
                "legendFormat": query.legend,
                "range": panel.kind != "bars",
                "instant": panel.kind == "bars",
            }
            for place, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    limits = {} if panel.most is None else {"min": 0, "max": panel.most}
    return {
        "unit": _UNITS[panel.unit],
        "noValue": panel.quiet or "no data",
        "thresholds": {"mode": "absolute", "steps": _steps(panel.thresholds)},
        "color": {"mode": "thresholds" if panel.kind in ("stat", "bars") else "palette-classic"},
        "mappings": _mappings(panel),
        **limits,
        "custom": _custom(panel),
    }


def _steps(thresholds: Iterable[Threshold]) -> list[dict[str, Any]]:
    """Grafana colours upwards from a value; of a lower limit the colour begins at the bottom."""
    given = sorted(thresholds, key=lambda one: one.value)
    if not any(one.below for one in given):
        above = [{"color": COLOURS[one.level], "value": one.value} for one in given]
        return [{"color": "green", "value": None}, *above]
    ends = [None, *(one.value for one in given)]
    colours = [*(COLOURS[one.level] for one in given), "green"]
    return [{"color": c, "value": v} for c, v in zip(colours, ends, strict=True)]


def _mappings(panel: Panel) -> list[dict[str, Any]]:
    if panel.kind != "states":
        return []
    said = {"0": {"text": "no", "color": "red"}, "1": {"text": "yes", "color": "green"}}
    return [{"type": "value", "options": said}]


def _custom(panel: Panel) -> dict[str, Any]:
    if panel.kind == "states":
        return {"fillOpacity": 70, "lineWidth": 0}
    if panel.kind not in ("lines", "areas"):
        return {}
    areas = panel.kind == "areas"
    return {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 40 if areas else 0,
        "stacking": {"mode": "normal" if areas else "none", "group": "A"},
        "showPoints": "never",
        "spanNulls": False,  # a gap is a gap
        "axisSoftMin": 0,
        "thresholdsStyle": {"mode": "dashed+area" if panel.thresholds else "off"},
    }


def _options(panel: Panel) -> dict[str, Any]:
    last = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
    match panel.kind:
        case "stat":
            return {"reduceOptions": last, "colorMode": "value", "graphMode": "area"}
        case "bars":
            return {"reduceOptions": last, "orientation": "horizontal", "displayMode": "basic"}
        case "states":
            return {"legend": legend, "mergeValues": True, "showValue": "never", "rowHeight": 0.8}
        case "lines" | "areas":
            return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}

"""The page: one file that holds all it needs, works offline and asks no other site for anything.

Whatever Prometheus said (labels, errors, summaries of alerts) is text to the template, which
escapes it; a policy in the page lets its own script run, by its hash, and nothing else.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bootstrap.prometheus import Firing, Grid
from infra.monitoring.boards.board import Level
from infra.monitoring.boards.promql import metric_names
from operations.dashboard import drawing
from operations.dashboard.gathering import LEVELS, Gathered, Picture, Sheet, worst
from operations.dashboard.values import span, written

PAGE: Final = Path(__file__).with_name("page")
_MOST_SAID: Final = 8


@dataclass(frozen=True)
class Said:
    """What the page says of itself."""

    stack: str
    refresh: int | None = None
    """Seconds after which it asks for itself anew; None: it is a file, and stays as it is."""


def render(gathered: Gathered, said: Said, known: Sequence[str]) -> str:
    """The page's text.

    Args:
        gathered: what is shown.
        said: of whom.
        known: names that have the same colour on every picture.
    """
    fixed = {name: number for number, name in enumerate(known[: drawing.COLOURS])}
    script = (PAGE / "dashboard.js").read_text(encoding="utf-8")
    sheets = [_sheet(sheet, gathered.grid, fixed) for sheet in gathered.sheets]
    return (
        _environment()
        .get_template("dashboard.html.j2")
        .render(
            said=said,
            at=_utc(gathered.grid.end, "%d %b %Y, %H:%M:%S UTC"),
            span=span(gathered.grid.end - gathered.grid.start),
            step=span(gathered.grid.step),
            times=[_utc(at, "%d %b %H:%M:%S") for at in gathered.grid.times],
            across=drawing.hours(gathered.grid),
            sheets=sheets,
            # What nobody is told of (severity none) is for machines.
            firing=[_alert(it) for it in gathered.firing if it.labels.get("severity") != "none"],
            looks=_looks(gathered),
            most=_MOST_SAID,
            css=(PAGE / "dashboard.css").read_text(encoding="utf-8"),
            js=script,
            policy=policy(script, watched=said.refresh is not None),
        )
    )


def policy(script: str, *, watched: bool) -> str:
    """Content-Security-Policy: this script alone, and no other place."""
    digest = base64.b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode()
    asks = "'self'" if watched else "'none'"
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        f"connect-src {asks}; base-uri 'none'; form-action 'none'"
    )


def _utc(at: float, shown: str) -> str:
    return datetime.fromtimestamp(at, UTC).strftime(shown)


def _sheet(sheet: Sheet, grid: Grid, fixed: Mapping[str, int]) -> dict[str, Any]:
    levels: list[Level | None] = [picture.level for picture in sheet.pictures()]
    reached = [level for level in levels if level is not None]
    numbers = iter(range(len(levels)))
    return {
        "slug": sheet.board.slug,
        "title": sheet.board.title,
        "explains": sheet.board.explains,
        "level": worst(levels),
        "reached": len(reached),
        "rows": [
            {
                "title": strip.row.title,
                "absent": strip.absent,
                "panels": [
                    _panel(one, f"{sheet.board.slug}/{next(numbers)}", grid, fixed)
                    for one in strip.pictures
                ],
            }
            for strip in sheet.strips
        ],
    }


def _panel(picture: Picture, name: str, grid: Grid, fixed: Mapping[str, int]) -> dict[str, Any]:
    panel = picture.panel
    hues = drawing.colours(picture.series, fixed)
    shown: dict[str, Any] = {
        "name": name,
        "kind": panel.kind,
        "title": panel.title,
        "unit": panel.unit.value,
        "explains": panel.explains,
        "width": panel.width,
        "level": picture.level,
        "problem": picture.problem,
        "missing": picture.missing,
        "quiet": panel.quiet,
        "notes": picture.notes,
        "queries": [query.expr for query in panel.queries],
        "series": [
            {
                "name": one.name,
                "hue": hue,
                "level": picture.level_of(one),
                "last": "gone" if one.last is None else written(one.last, panel.unit),
            }
            for one, hue in zip(picture.series, hues, strict=True)
        ],
        "data": [
            [None if value is None else written(value, panel.unit) for value in one.values]
            for one in picture.series
        ],
    }
    if not picture.series:
        return shown
    match panel.kind:
        case "lines" | "areas":
            shown["plot"] = drawing.plot(picture, grid, hues)
        case "stat":
            shown["plot"] = drawing.spark(picture.series[0].values)
        case "states":
            shown["strips"] = [drawing.states(one.values) for one in picture.series]
        case "bars":
            shown["bars"] = list(_bars(picture))
    return shown


def _bars(picture: Picture) -> Iterator[dict[str, float]]:
    """How long each is, and where the limits are, in percent."""
    panel = picture.panel
    last = [one.last or 0.0 for one in picture.series]
    limits = [limit.value for limit in panel.thresholds]
    most = panel.most or max([*last, *limits], default=1.0) or 1.0
    scale = drawing.Scale(0.0, most)
    for value in last:
        yield {"width": scale.up(value)}


def _looks(gathered: Gathered) -> list[dict[str, Any]]:
    """What is past a limit now, worst first; what two boards show is said once."""
    found: dict[tuple[str, str, float], dict[str, Any]] = {}
    for sheet in gathered.sheets:
        for number, picture in enumerate(sheet.pictures()):
            for one in picture.series:
                level = picture.level_of(one)
                if level is None or one.last is None or _says_alerts(picture):
                    continue
                found.setdefault(
                    (picture.panel.title, one.name, one.last),
                    {
                        "level": level,
                        "kind": picture.panel.kind,
                        "board": sheet.board.title,
                        "panel": picture.panel.title,
                        "name": one.name,
                        "value": written(one.last, picture.panel.unit),
                        "link": f"{sheet.board.slug}/{number}",
                    },
                )
    drawn = {(one["level"], one["value"]) for one in found.values() if one["kind"] != "stat"}
    # A number mostly says what a picture beside it says too.
    told = (
        one
        for one in found.values()
        if one["kind"] != "stat" or (one["level"], one["value"]) not in drawn
    )
    return sorted(told, key=lambda one: LEVELS.index(one["level"]))


def _says_alerts(picture: Picture) -> bool:
    """They stand above."""
    return {name for query in picture.panel.queries for name in metric_names(query.expr)} == {
        "ALERTS"
    }


def _alert(one: Firing) -> dict[str, str]:
    link = one.annotations.get("runbook_url", "")
    return {
        "name": one.labels.get("alertname", "alert"),
        "severity": one.labels.get("severity", ""),
        "summary": one.annotations.get("summary", ""),
        "since": one.since[11:16],
        "link": link if link.startswith(("https://", "http://")) else "",
    }


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

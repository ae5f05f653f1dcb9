"""Charts over time as SVG: lines, or areas upon each other, with axes, units and limits.

The same markup stands in the page, which styles it, and in a file of its own, with its style in it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 24, 34

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a7500", "#777777")
"""By Okabe and Ito, told apart by the colour-blind too; the last two stand for their yellow and
black, which one of the two backgrounds would swallow."""

DASHES = ("", "6 3", "2 3", "8 3 2 3")
"""Lines differ by these as well, for print."""


@dataclass(frozen=True)
class Series:
    """One line: a value for each time, None where nothing was measured."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Chart:
    """One chart; ``limit`` is drawn across it."""

    title: str
    unit: str
    times: Sequence[float]
    """Seconds since the run began."""
    series: Sequence[Series]
    limit: float | None = None
    stacked: bool = False
    stairs: bool = False
    """Values that jump, like a number of pods."""

    @property
    def measured(self) -> bool:
        return any(value is not None for one in self.series for value in one.values)


@dataclass(frozen=True)
class _Frame:
    """Where values are on the drawing."""

    first: float
    last: float
    top: float

    def x(self, at: float) -> float:
        share = (at - self.first) / ((self.last - self.first) or 1.0)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - value / self.top * (HEIGHT - TOP - BOTTOM)


def steps(most: float, count: int = 5) -> list[float]:
    """Round numbers from 0 to above ``most``, about ``count`` of them."""
    if most <= 0 or not math.isfinite(most):
        most = 1.0
    raw = most / count
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw * 0.999)
    return [step * number for number in range(math.ceil(most / step * 0.999) + 1)]


def svg(chart: Chart, *, alone: bool = False) -> str:
    """The drawing; ``alone`` brings its style along, for a file of its own."""
    sums = _sums(chart) if chart.stacked else []
    values = [v for line in sums for v in line] or [
        v for one in chart.series for v in one.values if v is not None
    ]
    ticks = steps(max([*values, chart.limit or 0.0]))
    frame = _Frame(chart.times[0], chart.times[-1], ticks[-1])
    parts = _axes(chart, frame, ticks)
    if chart.stacked:
        parts += [_area(chart, frame, sums, number) for number in range(len(chart.series))]
    else:
        parts += [_line(chart, frame, number) for number in range(len(chart.series))]
    if chart.limit is not None:
        y = frame.y(chart.limit)
        parts.append(f'<path class="limit" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
    if alone:
        parts += _legend(chart)
    label = escape(f"{chart.title}, {chart.unit}, over {chart.times[-1]:.0f} seconds")
    height = HEIGHT + (22 if alone else 0)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{label}" data-x="{LEFT} {WIDTH - RIGHT}">'
    )
    return "\n".join(
        (head, *([f"<style>{STYLE_ALONE}</style>"] if alone else []), *parts, "</svg>")
    )


STYLE_ALONE = (
    "svg{font:11px system-ui,sans-serif;background:#fff}text{fill:#444}.grid{stroke:#ddd}"
    ".limit{stroke:#b00020;stroke-dasharray:3 3}path{fill:none;stroke-width:1.5}"
    "@media(prefers-color-scheme:dark){svg{background:#14171a}text{fill:#bbb}"
    ".grid{stroke:#333}.limit{stroke:#ff6b6b}}"
)


def colour(number: int) -> str:
    """Of a series, by its place."""
    return COLOURS[number % len(COLOURS)]


def _sums(chart: Chart) -> list[list[float]]:
    """The edges of the areas, from the floor up; what was not measured adds nothing."""
    edges = [[0.0] * len(chart.times)]
    for one in chart.series:
        above = zip(edges[-1], one.values, strict=True)
        edges.append([below + (value or 0.0) for below, value in above])
    return edges


def _area(chart: Chart, frame: _Frame, edges: list[list[float]], number: int) -> str:
    below, above = (
        [f"{frame.x(at):.1f},{frame.y(v):.1f}" for at, v in zip(chart.times, edge, strict=True)]
        for edge in edges[number : number + 2]
    )
    outline = " ".join((*above, *reversed(below)))
    return f'<polygon fill="{colour(number)}" points="{outline}"/>'


def _line(chart: Chart, frame: _Frame, number: int) -> str:
    path, pen, last_y = "", "M", 0.0
    for at, value in zip(chart.times, chart.series[number].values, strict=True):
        if value is None:
            pen = "M"  # a gap stays a gap
            continue
        x, y = frame.x(at), frame.y(value)
        between = f"L{x:.1f} {last_y:.1f}" if chart.stairs and pen == "L" else ""
        path += f"{between}{pen}{x:.1f} {y:.1f}" + ("h.1" if pen == "M" else "")
        pen, last_y = "L", y
    dash = DASHES[number % len(DASHES)]
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path class="line" stroke="{colour(number)}"{dashes} d="{path}"/>'


def _axes(chart: Chart, frame: _Frame, ticks: list[float]) -> list[str]:
    parts: list[str] = []
    for tick in ticks:
        y = frame.y(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:,g}</text>')
    for tick in steps(frame.last, 6):
        if frame.first <= tick <= frame.last:
            parts.append(
                f'<text x="{frame.x(tick):.1f}" y="{HEIGHT - BOTTOM + 16}" '
                f'text-anchor="middle">{tick:,g}</text>'
            )
    parts.append(f'<text x="4" y="11">{escape(chart.unit)}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">s</text>')
    return parts


def _legend(chart: Chart) -> list[str]:
    parts: list[str] = []
    x = LEFT
    for number, one in enumerate(chart.series):
        parts.append(
            f'<rect x="{x}" y="{HEIGHT + 3}" width="12" height="9" fill="{colour(number)}"/>'
        )
        parts.append(f'<text x="{x + 16}" y="{HEIGHT + 12}">{escape(one.name)}</text>')
        x += 34 + 7 * len(one.name)
    return parts

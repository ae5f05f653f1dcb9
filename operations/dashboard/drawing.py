"""Pictures as SVG that stretches to its place; what is written beside it is HTML, and does not.

Each drawing is 1000 wide and 1000 high, whatever its place; lines keep their width.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from bootstrap.prometheus import Grid
from infra.monitoring.boards.board import Threshold, Unit
from operations.dashboard.gathering import Drawn, Picture
from operations.dashboard.values import clock, ticks, written

SIZE: Final = 1000
COLOURS: Final = 8
"""The page's style has so many; lines past them are dashed."""
_TEXT: Final = 20.0
"""How high a text is, of the height, in percent."""
_FAR: Final = 3.0
"""A limit so many times above all values is said and not drawn, or they would be a flat line."""


@dataclass(frozen=True)
class Mark:
    """A text at a share of the width or height, in percent."""

    at: float
    text: str


@dataclass(frozen=True)
class Limit:
    """A threshold's line and the band behind it, in percent from the bottom."""

    level: str
    at: float
    low: float
    high: float
    text: str
    under: bool
    """Whether the text is under its line, where there is no room above it."""


@dataclass(frozen=True)
class Plot:
    """Lines or areas, with their scales."""

    svg: str
    across: tuple[Mark, ...]
    up: tuple[Mark, ...]
    limits: tuple[Limit, ...]
    far: tuple[str, ...]
    """Limits that are out of sight."""


@dataclass(frozen=True)
class Scale:
    """Where values are: 0 is the bottom, SIZE the top."""

    low: float
    high: float

    def y(self, value: float) -> float:
        return SIZE - self.up(value) * SIZE / 100

    def up(self, value: float) -> float:
        """In percent from the bottom, never outside."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return 100 * min(1.0, max(0.0, share))


def colours(series: Sequence[Drawn], fixed: Mapping[str, int]) -> tuple[int, ...]:
    """A number for each: who is known has the same everywhere, others take what is left."""
    given = [fixed.get(one.name) for one in series]
    free = [number for number in range(2 * COLOURS) if number not in given]
    return tuple(number if number is not None else free.pop(0) for number in given)


def plot(picture: Picture, grid: Grid, hues: Sequence[int]) -> Plot:
    """Lines, or areas upon each other."""
    panel = picture.panel
    areas = panel.kind == "areas"
    edges = _edges(picture.series, grid) if areas else []
    values = [v for line in (edges or [one.values for one in picture.series]) for v in line]
    known = [value for value in values if value is not None]
    scale, marks = _scale(known, panel.most, panel.thresholds, panel.unit)
    body = (
        [_area(edges[n], edges[n + 1], scale, hue) for n, hue in enumerate(hues)]
        if areas
        else [_line(one.values, scale, hue) for one, hue in zip(picture.series, hues, strict=True)]
    )
    seen = [limit for limit in panel.thresholds if scale.low <= limit.value <= scale.high]
    return Plot(
        _svg(_lattice(marks, scale) + "".join(body)),
        across=hours(grid),
        up=tuple(Mark(scale.up(tick), written(tick, panel.unit)) for tick in marks),
        limits=tuple(_limits(seen, scale, panel.unit)),
        far=tuple(
            f"{one.level} {'below' if one.below else 'from'} {written(one.value, panel.unit)}"
            for one in panel.thresholds
            if one not in seen
        ),
    )


def spark(values: Sequence[float | None]) -> str:
    """The course behind a number."""
    known = [value for value in values if value is not None]
    low, high = min([0.0, *known]), max(known, default=1.0)
    scale = Scale(low, (high if high > low else low + 1.0) * 1.05)
    floor = [low if value is not None else None for value in values]
    return _svg(_area(floor, values, scale, 0) + _line(values, scale, 0))


def states(values: Sequence[float | None]) -> str:
    """A strip: yes, no, and nothing where nobody knows."""
    parts: list[str] = []
    wide = SIZE / len(values)
    begun = 0
    for place in range(1, len(values) + 1):
        if place < len(values) and _state(values[place]) == _state(values[begun]):
            continue
        if (state := _state(values[begun])) is not None:
            width = (place - begun) * wide
            box = f'x="{begun * wide:.1f}" width="{width:.1f}" height="{SIZE}"'
            parts.append(f'<rect class="{state}" {box}/>')
        begun = place
    return _svg("".join(parts))


def hours(grid: Grid) -> tuple[Mark, ...]:
    """Times of the day; days where there are several."""
    span = (grid.end - grid.start) or 1
    shown = "%d %b" if span > 3 * 86_400 else "%H:%M"
    return tuple(
        Mark(100 * (at - grid.start) / span, _utc(at, shown)) for at in clock(grid.start, grid.end)
    )


def _utc(at: int, shown: str) -> str:
    return datetime.fromtimestamp(at, UTC).strftime(shown)


def _state(value: float | None) -> str | None:
    return None if value is None else "yes" if value >= 1 else "no"


def _svg(body: str) -> str:
    return (
        f'<svg viewBox="0 0 {SIZE} {SIZE}" preserveAspectRatio="none" aria-hidden="true">'
        f"{body}</svg>"
    )


def _scale(
    known: Sequence[float], most: float | None, limits: Sequence[Threshold], unit: Unit
) -> tuple[Scale, list[float]]:
    low, high = min([0.0, *known]), max([0.0, *known])
    if most is not None:
        high = max(high, most)
    near = [one.value for one in limits if one.value <= max(high, 1e-12) * _FAR]
    above = max((value * 1.05 for value in near), default=high)
    high = max(high, above if most is None else min(above, most))
    marks = ticks(low, high, unit)
    if most is not None and high <= most:
        marks = [mark for mark in marks if mark <= most + 1e-9]
    return Scale(marks[0], marks[-1]), marks


def _lattice(marks: Sequence[float], scale: Scale) -> str:
    path = "".join(f"M0 {scale.y(mark):.0f}H{SIZE}" for mark in marks)
    return f'<path class="grid" d="{path}"/>'


def _limits(limits: Sequence[Threshold], scale: Scale, unit: Unit) -> Iterator[Limit]:
    places = [*(scale.up(limit.value) for limit in limits), 100.0]
    for limit, at in zip(limits, places, strict=False):
        low, high = (0.0, at) if limit.below else (at, 100.0)
        under = any(0 <= other - at < _TEXT for other in places if other != at)
        yield Limit(limit.level, at, low, high, written(limit.value, unit), under or at == 100)


def _edges(series: Sequence[Drawn], grid: Grid) -> list[list[float | None]]:
    """Of areas, from the floor up. What is not there adds nothing; where nothing is, is a gap."""
    there = [any(one.values[at] is not None for one in series) for at in range(grid.count)]
    edges: list[list[float | None]] = [[0.0 if known else None for known in there]]
    for one in series:
        above = zip(edges[-1], one.values, strict=True)
        edges.append([None if below is None else below + (v or 0.0) for below, v in above])
    return edges


def _runs(values: Sequence[float | None]) -> list[list[int]]:
    """Places without a gap between them."""
    runs: list[list[int]] = []
    for place, value in enumerate(values):
        if value is None:
            continue
        if runs and runs[-1][-1] == place - 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    return runs


def _points(values: Sequence[float | None], places: Sequence[int], scale: Scale) -> list[str]:
    wide = SIZE / max(1, len(values) - 1)
    return [f"{place * wide:.0f} {scale.y(values[place] or 0.0):.0f}" for place in places]


def _line(values: Sequence[float | None], scale: Scale, hue: int) -> str:
    parts: list[str] = []
    for places in _runs(values):
        points = _points(values, places, scale)
        # A line of one point is a dot, by its round ends.
        parts.append(f"M{'L'.join(points)}" + ("h0" if len(points) == 1 else ""))
    return f'<path class="line {_class(hue)}" d="{"".join(parts)}"/>'


def _area(
    below: Sequence[float | None], above: Sequence[float | None], scale: Scale, hue: int
) -> str:
    parts: list[str] = []
    for places in _runs(above):
        top, floor = (_points(edge, places, scale) for edge in (above, below))
        parts.append(f"M{'L'.join((*top, *reversed(floor)))}Z")
    return f'<path class="area {_class(hue)}" d="{"".join(parts)}"/>'


def _class(hue: int) -> str:
    return f"c{hue % COLOURS}" + (" dashed" if hue >= COLOURS else "")

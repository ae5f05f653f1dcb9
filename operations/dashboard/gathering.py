"""What the boards' queries give: asked once each, and what is to be drawn of the answers."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import count
from typing import Final

from bootstrap.prometheus import (
    Answer,
    Firing,
    Grid,
    Prometheus,
    QueryError,
    Series,
)
from infra.monitoring.boards.board import WINDOW, Board, Level, Panel, Query, Row
from infra.monitoring.boards.promql import metric_names

LEVELS: Final[tuple[Level, ...]] = ("critical", "warning")
"""Worst first."""
MOST_DRAWN: Final = 12
"""Series in one panel: more are no picture any more."""
_AT_A_TIME: Final = 4
_SCRAPED_EVERY: Final = 30
_LABEL: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_LONGEST_NAME: Final = 80

Progress = Callable[[int, int], None]
"""How many queries are answered, and of how many."""


@dataclass(frozen=True)
class Drawn:
    """One series with the name that its legend gives it."""

    name: str
    values: tuple[float | None, ...]
    held: bool = True
    """Whether limits are for it."""

    @property
    def last(self) -> float | None:
        """Now, or a step ago, as a scrape may be on its way; None: it is no longer there."""
        return next((one for one in reversed(self.values[-2:]) if one is not None), None)


@dataclass(frozen=True)
class Picture:
    """A panel and what is drawn in it."""

    panel: Panel
    series: tuple[Drawn, ...] = ()
    problem: str = ""
    """Why there is nothing; of Prometheus' own words."""
    missing: tuple[str, ...] = ()
    """Metrics that nobody exports, where that is why there is nothing."""
    notes: tuple[str, ...] = ()

    @property
    def level(self) -> Level | None:
        """The worst of what the last values reach."""
        return worst({self.level_of(one) for one in self.series})

    def level_of(self, one: Drawn) -> Level | None:
        """What a series reaches now."""
        if (last := one.last) is None or not one.held:
            return None
        if self.panel.kind == "states":
            return None if last >= 1 else "warning"
        return worst({one.level for one in self.panel.thresholds if one.reached(last)})


def worst(levels: Collection[Level | None]) -> Level | None:
    """Of several."""
    return next((level for level in LEVELS if level in levels), None)


@dataclass(frozen=True)
class Strip:
    """A row of pictures."""

    row: Row
    pictures: tuple[Picture, ...]

    @property
    def absent(self) -> bool:
        """Whether it is about what not every stack has, and nobody tells anything of that."""
        return self.row.needs is not None and all(one.missing for one in self.pictures)


@dataclass(frozen=True)
class Sheet:
    """A board with its pictures."""

    board: Board
    strips: tuple[Strip, ...]

    def pictures(self) -> Iterator[Picture]:
        for strip in self.strips:
            yield from strip.pictures


@dataclass(frozen=True)
class Gathered:
    """All of a page, at one time."""

    grid: Grid
    sheets: tuple[Sheet, ...]
    firing: tuple[Firing, ...]


def gather(
    prometheus: Prometheus, boards: Sequence[Board], grid: Grid, progress: Progress
) -> Gathered:
    """Ask everything, a few at a time.

    Raises:
        AwayError: Prometheus went away in the middle.
    """
    queries = {
        query.expr for board in boards for panel in board.panels() for query in panel.queries
    }
    done, answers = count(1), dict[str, Answer | str]()
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        asked = {pool.submit(_ask, prometheus, expr, grid): expr for expr in sorted(queries)}
        try:
            for one in as_completed(asked):
                answers[asked[one]] = one.result()
                progress(next(done), len(asked))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    known = prometheus.names()
    return Gathered(
        grid,
        tuple(_sheet(board, answers, known) for board in boards),
        prometheus.firing(),
    )


def window(grid: Grid) -> int:
    """Seconds over which rates are taken: four scrapes, and no moment between two steps unseen."""
    return max(4 * _SCRAPED_EVERY, grid.step + _SCRAPED_EVERY)


def _ask(prometheus: Prometheus, expr: str, grid: Grid) -> Answer | str:
    try:
        return prometheus.range(expr.replace(WINDOW, f"{window(grid)}s"), grid)
    except QueryError as error:
        return str(error)


def _sheet(board: Board, answers: Mapping[str, Answer | str], known: frozenset[str]) -> Sheet:
    return Sheet(
        board,
        tuple(
            Strip(row, tuple(picture(panel, answers, known) for panel in row.panels))
            for row in board.rows
        ),
    )


def picture(panel: Panel, answers: Mapping[str, Answer | str], known: frozenset[str]) -> Picture:
    """What is drawn of the answers to a panel's queries."""
    drawn, notes, problems = list[Drawn](), list[str](), list[str]()
    others = list[Drawn]()
    undefined = infinite = 0
    for query in panel.queries:
        answer = answers[query.expr]
        if isinstance(answer, str):
            problems.append(answer)
            continue
        undefined += answer.undefined
        infinite += answer.infinite
        notes += answer.warnings
        drawn += [_named(query, one) for one in answer.series]
    drawn = [one for one in drawn if any(value is not None for value in one.values)]
    if len(drawn) > MOST_DRAWN:
        # Those that are nearest to the panel's limits, or past them.
        low = any(limit.below for limit in panel.thresholds)
        which = "lowest values" if low else "highest peaks"
        notes.append(f"{len(drawn)} series; the {MOST_DRAWN} with the {which} are drawn")
        drawn.sort(key=_least if low else _peak, reverse=not low)
        drawn, rest = drawn[:MOST_DRAWN], drawn[MOST_DRAWN:]
        # Areas are a sum, and would be another one without the rest.
        others = [_sum(f"{len(rest)} others", rest)] if panel.kind == "areas" else []
    if len(panel.queries) == 1:  # else in the order in which they are asked
        drawn.sort(key=lambda one: one.name)
    drawn += others
    if undefined:
        notes.append(f"left out: 0/0, where nothing happened (times: {undefined})")
    if infinite:
        notes.append(f"left out: x/0, which is infinite (times: {infinite})")
    asked = {name for query in panel.queries for name in metric_names(query.expr)}
    return Picture(
        panel,
        tuple(drawn),
        problem="; ".join(dict.fromkeys(problems)),
        missing=() if drawn or problems else tuple(sorted(asked - known)),
        notes=tuple(dict.fromkeys(notes)),
    )


def _peak(one: Drawn) -> float:
    return max(abs(value) for value in one.values if value is not None)


def _least(one: Drawn) -> float:
    return min(value for value in one.values if value is not None)


def _sum(name: str, series: Sequence[Drawn]) -> Drawn:
    moments = zip(*(one.values for one in series), strict=True)
    known = ([value for value in moment if value is not None] for moment in moments)
    return Drawn(name, tuple(sum(values) if values else None for values in known))


def _named(query: Query, series: Series) -> Drawn:
    name = _LABEL.sub(lambda found: series.labels.get(found[1], ""), query.legend)
    name = " ".join(name.split()).strip(" ,")
    if not name:
        name = ", ".join(f"{k}={v}" for k, v in series.labels.items()) or "value"
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 1]}…"
    return Drawn(name, series.values, query.held)

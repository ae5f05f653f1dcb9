"""What a dashboard is made of: boards of rows of panels, each with its queries, unit and limits.

Plain data. `infra.monitoring.grafana` makes Grafana's files of it, `operations.dashboard` a page.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, get_args

COLUMNS: Final = 12
"""A row is so wide; panels take a share of it."""
WINDOW: Final = "$window"
"""In a query, `rate(…[$window])`: as long as the renderer finds right for its resolution."""


class Unit(Enum):
    """What a panel's values are; how they are written is the renderers' affair."""

    COUNT = "count"
    PER_SECOND = "per second"
    SECONDS = "seconds"
    BYTES = "bytes"
    BYTES_PER_SECOND = "bytes per second"
    RATIO = "ratio"
    """Of 1; read as percent."""
    CORES = "cores"
    DAYS = "days"
    YES_NO = "yes or no"
    """1 or 0."""


Kind = Literal["lines", "areas", "stat", "bars", "states"]
"""Lines; areas upon each other; one number, with its course behind it; a bar per series; a strip
per series that says when a yes was a no."""
Level = Literal["warning", "critical"]
Need = Literal["autoscaling", "copies", "logs", "proxysql"]
"""What not every stack has: autoscaled services, read-only copies of a MySQL server, kept logs,
ProxySQL."""
NEEDS: Final[tuple[Need, ...]] = get_args(Need)


@dataclass(frozen=True)
class Threshold:
    """From `value` on, or below it, somebody should look (`warning`) or come (`critical`)."""

    value: float
    level: Level
    below: bool = False

    def reached(self, value: float) -> bool:
        return value < self.value if self.below else value >= self.value


@dataclass(frozen=True)
class Query:
    """PromQL, and what its series are called: text with `{{label}}`."""

    expr: str
    legend: str
    held: bool = True
    """Whether the panel's limits are for its values; a p50 and a p99 stand beside a p95 for which
    there is one."""


@dataclass(frozen=True)
class Panel:
    """One question, answered by one or several queries of the same unit."""

    title: str
    unit: Unit
    queries: tuple[Query, ...]
    explains: str
    """A sentence on what is seen, and what it means when it is not as usual."""
    kind: Kind = "lines"
    thresholds: tuple[Threshold, ...] = ()
    width: int = 4
    """Of `COLUMNS`."""
    most: float | None = None
    """The axis's end where it has a natural one, as 1 of a ratio."""
    quiet: str = ""
    """What it means that there is no series, where that is no fault: `nothing was refused`."""


@dataclass(frozen=True)
class Row:
    """Panels that belong together."""

    title: str
    panels: tuple[Panel, ...]
    needs: Need | None = None


@dataclass(frozen=True)
class Board:
    """One dashboard."""

    slug: str
    """Stable: addresses and Grafana's uid are made of it."""
    title: str
    explains: str
    rows: tuple[Row, ...]

    def panels(self) -> Iterator[Panel]:
        for row in self.rows:
            yield from row.panels

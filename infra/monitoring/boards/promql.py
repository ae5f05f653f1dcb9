"""Queries as they come again and again, and the names of metrics in a query."""

import re
from collections.abc import Iterable
from typing import Final

from infra.monitoring.boards.board import WINDOW, Query

_QUANTILES: Final = (0.5, 0.95, 0.99)
_OPERATORS: Final = ("!~", "!", "~")


def series(metric: str, /, **labels: str) -> str:
    """`metric{label="value"}`; a value beginning with `!`, `~` or `!~` says how it is compared."""
    pairs = ",".join(_pair(name, value) for name, value in labels.items())
    return f"{metric}{{{pairs}}}" if pairs else metric


def rate(metric: str, /, by: Iterable[str] = (), **labels: str) -> str:
    """Growth of a counter per second, in sum or by labels."""
    return total(f"rate({series(metric, **labels)}[{WINDOW}])", by)


def total(expr: str, by: Iterable[str] = ()) -> str:
    """Sum over all series, or one for each value of labels."""
    names = ", ".join(by)
    return f"sum by ({names}) ({expr})" if names else f"sum({expr})"


def quantile(share: float, histogram: str, /, by: Iterable[str] = (), **labels: str) -> str:
    """Of what a histogram saw within the window."""
    buckets = rate(f"{histogram}_bucket", by=("le", *by), **labels)
    return f"histogram_quantile({share:g}, {buckets})"


def quantiles(histogram: str, held: float = 0.95, /, **labels: str) -> tuple[Query, ...]:
    """Median, p95 and p99, as three queries; `held` is the one that limits are for."""
    return tuple(
        Query(quantile(share, histogram, **labels), f"p{100 * share:g}", held=share == held)
        for share in _QUANTILES
    )


def or_zero(expr: str) -> str:
    """Where the absence of series means none, and another panel tells if nobody is asked."""
    return f"({expr}) or vector(0)"


def _pair(name: str, value: str) -> str:
    operator = next((one for one in _OPERATORS if value.startswith(one)), "")
    sign = {"": "=", "~": "=~", "!": "!=", "!~": "!~"}[operator]
    text = value[len(operator) :].replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}{sign}"{text}"'


_STRINGS: Final = re.compile(r'"(?:\\.|[^"\\])*"' + r"|'(?:\\.|[^'\\])*'|`[^`]*`")
_LABELS: Final = re.compile(
    r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)|\{[^}]*\}|\[[^\]]*\]", re.I
)
_NAME: Final = re.compile(r"(?<![\w.:])([a-zA-Z_:][\w:]*)(?!\w)\s*(\()?")
_WORDS: Final = frozenset(
    {
        *("and", "or", "unless", "bool", "offset", "inf", "nan", "atan2", "start", "end"),
        *("by", "without", "on", "ignoring", "group_left", "group_right"),
    }
)


def metric_names(expr: str) -> frozenset[str]:
    """The metrics that a query asks for, by their names."""
    bare = _LABELS.sub(" ", _STRINGS.sub('""', expr))
    return frozenset(
        name for name, call in _NAME.findall(bare) if not call and name.lower() not in _WORDS
    )

"""What became of the spans of this process, as a metric."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

Outcome = Literal["exported", "refused", "dropped"]

# Of the process, like its memory: every registry that asks gets the same.
_counts: Final[dict[Outcome, int]] = {"exported": 0, "refused": 0, "dropped": 0}


class SpanCollector(Collector):
    """`tracing_spans_total`, by outcome."""

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(
            "tracing_spans",
            "Spans by outcome: exported, refused (the collector was away, or took none), dropped"
            " (too many waited for it).",
            labels=["outcome"],
        )
        for outcome, count in _counts.items():
            family.add_metric([outcome], count)
        yield family


def note(outcome: Outcome, spans: int = 1) -> None:
    """Count what became of some. One that is missed between two threads is no harm."""
    _counts[outcome] += spans


def counted(outcome: Outcome) -> int:
    """How many so far."""
    return _counts[outcome]

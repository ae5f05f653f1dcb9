"""The figures of a window in plain Python, with exact fractions where numpy has doubles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple


class Reference(NamedTuple):
    points: int
    minimum: float
    maximum: float
    mean: float
    p50: float
    p95: float
    anomaly_score: float


def quantile(values: Sequence[Fraction], share: Fraction) -> Fraction:
    """Linear between order statistics ("R-7")."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


def reference(values: Sequence[float]) -> Reference:
    exact = [Fraction(value) for value in values]
    median = quantile(exact, Fraction(1, 2))
    away = [abs(value - median) for value in exact]
    unit = quantile(away, Fraction(1, 2)) / Fraction("0.6745")
    if unit == 0:
        unit = sum(away, Fraction(0)) / len(away) * Fraction("1.253314")
    score = max(away) / unit if unit else Fraction(0)
    return Reference(
        len(values),
        min(values),
        max(values),
        float(sum(exact, Fraction(0)) / len(exact)),
        float(median),
        float(quantile(exact, Fraction(95, 100))),
        float(score) if score < Fraction(1.7976931348623157e308) else 1.7976931348623157e308,
    )

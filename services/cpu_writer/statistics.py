"""The figures of a window: vectors over all series at once, from values that are sorted.

The order of arrival leaves no trace, so whoever computes a window from the same points gets the
same bits. Values may be any finite numbers: figures are made of values scaled by a power of two to
between -1 and 1, so neither a sum nor a difference leaves the range of a double.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.cpu_writer.points import Floats, Ints

CONSISTENT_MAD: Final = 0.6745
"""Makes the median absolute deviation comparable with a normal distribution's sigma."""
CONSISTENT_MEAN_AD: Final = 1.253314
"""The same for the mean absolute deviation: the square root of half pi."""
LARGEST: Final = float(np.finfo(np.float64).max)


@dataclass(frozen=True, slots=True)
class Figures:
    """One entry for each group of values.

    p50, p95: linear between order statistics (numpy's default, "R-7"). anomaly_score: the largest
    modified z-score of Iglewicz and Hoaglin, see scores().
    """

    count: Ints
    minimum: Floats
    maximum: Floats
    mean: Floats
    p50: Floats
    p95: Floats
    anomaly_score: Floats


def figures(values: Floats, group: Ints) -> Figures:
    """Of values that belong to the groups 0, 1, …, each of which has one at least.

    `group` is one number for each value, in any order.
    """
    values = values + 0.0  # there is one zero, not two
    order = np.lexsort((values, group))
    values, group = values[order], group[order]
    first = np.flatnonzero(np.diff(group, prepend=-1))
    count = np.diff(first, append=len(group))
    minimum, maximum = values[first], values[first + count - 1]
    _, exponent = np.frexp(np.maximum(np.abs(minimum), np.abs(maximum)))
    exponent = exponent.astype(np.int64)
    with np.errstate(under="ignore"):
        scaled = _times_two_to(values, -exponent[group])
    mean = np.add.reduceat(scaled, first) / count
    median = _quantile(scaled, first, count, 0.5)

    def whole(figure: Floats) -> Floats:
        # Rounding must not lead out of what was measured: the mean of equal values is that value.
        with np.errstate(under="ignore"):
            return np.clip(_times_two_to(figure, exponent), minimum, maximum)

    return Figures(
        count=count,
        minimum=minimum,
        maximum=maximum,
        mean=whole(mean),
        p50=whole(median),
        p95=whole(_quantile(scaled, first, count, 0.95)),
        anomaly_score=_scores(scaled, group, first, count, median),
    )


def _scores(scaled: Floats, group: Ints, first: Ints, count: Ints, median: Floats) -> Floats:
    """The largest |x - median| of each group, in units of how far values lie from it usually.

    The unit is the median absolute deviation / 0.6745; where that is 0 (more than half of the
    values are equal), 1.253314 * the mean absolute deviation; where that is 0 as well, so is the
    score. No score is infinite: what a double cannot hold is the largest that it can.
    """
    away = np.abs(scaled - median[group])
    order = np.lexsort((away, group))
    away = away[order]
    largest = away[first + count - 1]
    mad = _quantile(away, first, count, 0.5)
    mean_ad = np.add.reduceat(away, first) / count
    unit = np.where(mad > 0, mad / CONSISTENT_MAD, CONSISTENT_MEAN_AD * mean_ad)
    with np.errstate(over="ignore", under="ignore"):
        score = np.divide(largest, unit, out=np.zeros_like(largest), where=unit > 0)
    return np.minimum(score, LARGEST)


def _quantile(ordered: Floats, first: Ints, count: Ints, share: float) -> Floats:
    place = (count - 1) * share
    whole = np.floor(place).astype(np.int64)
    low = ordered[first + whole]
    high = ordered[first + np.minimum(whole + 1, count - 1)]
    with np.errstate(under="ignore"):
        return low + (high - low) * (place - whole)


def _times_two_to(values: Floats, exponent: NDArray[np.int64]) -> Floats:
    # In two steps: the exponents of subnormal numbers are below those that a double can have.
    half = exponent // 2
    return np.ldexp(np.ldexp(values, half), exponent - half)

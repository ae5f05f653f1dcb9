"""The figures of a window: vectors over all series at once, from values that are sorted.

The order of arrival leaves no trace, so whoever computes a window from the same points gets the
same bits. Values may be any finite numbers: where a sum or a difference could leave the range of a
double, it is made of values divided by a power of two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from services.cpu_writer.points import Floats, Ints

CONSISTENT_MAD: Final = 0.6745
"""Makes the median absolute deviation comparable with a normal distribution's sigma."""
CONSISTENT_MEAN_AD: Final = 1.253314
"""The same for the mean absolute deviation: the square root of half pi."""
LARGEST: Final = float(np.finfo(np.float64).max)

# Exponents of two. Below the first, sums of as many values as there can be are safe; of values
# beyond it those are safe that are divided by the second.
_SAFE, _SHIFT = 900, 80
_DIFFERENCES: Final = 1023
"""The exponent up to which the difference of two values is finite."""


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
    # What lies below the smallest normal number loses digits, as it may.
    with np.errstate(under="ignore"):
        mean = _mean(values, group, first, count)
        median = _quantile(values, first, count, 0.5)
        return Figures(
            count=count,
            minimum=minimum,
            maximum=maximum,
            # Rounding must not lead out of what was measured: the mean of equals is their value.
            mean=np.clip(mean, minimum, maximum),
            p50=median,
            p95=_quantile(values, first, count, 0.95),
            anomaly_score=_scores(values, group, first, count, median),
        )


def _scores(values: Floats, group: Ints, first: Ints, count: Ints, median: Floats) -> Floats:
    """The largest |x - median| of each group, in units of how far values lie from it usually.

    The unit is the median absolute deviation / 0.6745; where that is 0 (more than half of the
    values are equal), 1.253314 * the mean absolute deviation; where that is 0 as well, so is the
    score. No score is infinite: what a double cannot hold is the largest that it can.
    """
    largest = np.maximum(np.abs(values[first]), np.abs(values[first + count - 1]))
    # The score is the same of all values divided by two.
    factor = np.where(np.frexp(largest)[1] > _DIFFERENCES, 0.5, 1.0)
    away = np.abs(values * factor[group] - (median * factor)[group])
    away = away[np.lexsort((away, group))]
    farthest = away[first + count - 1]
    mad = _quantile(away, first, count, 0.5)
    mean_ad = _mean(away, group, first, count)
    with np.errstate(over="ignore"):
        score = np.divide(farthest, mad, out=np.zeros_like(mad), where=mad > 0) * CONSISTENT_MAD
        other = np.divide(farthest, mean_ad, out=np.zeros_like(mad), where=mean_ad > 0)
    return np.minimum(np.where(mad > 0, score, other / CONSISTENT_MEAN_AD), LARGEST)


def _mean(ordered: Floats, group: Ints, first: Ints, count: Ints) -> Floats:
    largest = np.maximum(np.abs(ordered[first]), np.abs(ordered[first + count - 1]))
    shift = np.where(np.frexp(largest)[1] > _SAFE, _SHIFT, 0)
    sums = np.add.reduceat(np.ldexp(ordered, -shift[group]), first)
    # The mean of the largest double may round to more than that.
    with np.errstate(over="ignore"):
        return np.ldexp(sums / count, shift)


def _quantile(ordered: Floats, first: Ints, count: Ints, share: float) -> Floats:
    place = (count - 1) * share
    whole = np.floor(place).astype(np.int64)
    part = place - whole
    low = ordered[first + whole]
    high = ordered[first + np.minimum(whole + 1, count - 1)]
    with np.errstate(over="ignore", invalid="ignore"):
        between = low + (high - low) * part
        halves = 2 * (low / 2 + (high / 2 - low / 2) * part)
        return np.where(np.isfinite(high - low), between, halves)

"""The percentile that every number of the tests and reports is."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; ``share`` is from 0 to 1.

    Raises:
        ValueError: there are no values; a percentile of nothing would pass any limit.
    """
    if not values:
        raise ValueError("no values, so no percentile: nothing was measured")
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]

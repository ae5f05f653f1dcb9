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


def in_milliseconds(taken: Sequence[float]) -> tuple[str, str, str]:
    """How many there are, p50 and p95 of some seconds, as cells of a table."""
    if not taken:
        return "0", "-", "-"
    p50, p95 = (f"{1000 * percentile(taken, share):.0f} ms" for share in (0.50, 0.95))
    return str(len(taken)), p50, p95

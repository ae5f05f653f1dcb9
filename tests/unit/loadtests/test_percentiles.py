"""Percentiles: each is a value that was measured."""

import pytest

from loadtests.percentiles import percentile


def test_percentiles_are_nearest_rank_and_nothing_has_none() -> None:
    values = [float(value) for value in range(1, 101)]
    assert percentile(values, 0.5) == 50.0
    assert percentile(values, 0.95) == 95.0
    assert percentile(values, 1.0) == 100.0
    assert percentile([3.0], 0.95) == 3.0
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 0.5)

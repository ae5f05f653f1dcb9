from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from services.cpu_writer.statistics import LARGEST, figures
from tests.unit.services.cpu_writer.reference import Reference, reference


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    """What numpy would warn of is an error."""
    with np.errstate(all="raise"):
        yield


def computed(*groups: Sequence[float], seed: int = 0) -> list[Reference]:
    """The figures of several groups at once, their values mixed up."""
    mixed = [(number, value) for number, group in enumerate(groups) for value in group]
    random.Random(seed).shuffle(mixed)
    it = figures(
        np.array([value for _, value in mixed]), np.array([group for group, _ in mixed], np.int64)
    )
    columns = (it.count, it.minimum, it.maximum, it.mean, it.p50, it.p95, it.anomaly_score)
    return [Reference(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def assert_alike(found: Reference, wanted: Reference) -> None:
    assert found[:3] == wanted[:3]
    size = max(abs(wanted.minimum), abs(wanted.maximum))
    for name in ("mean", "p50", "p95"):
        a, b = getattr(found, name), getattr(wanted, name)
        # Relative to what the values are like: they may cancel each other out.
        assert math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-14 * size), (name, found, wanted)
    assert math.isclose(found.anomaly_score, wanted.anomaly_score, rel_tol=1e-9), (found, wanted)


@pytest.mark.parametrize(
    "values",
    [
        [42.5],
        [0.0],
        [1.0, 2.0],
        [0.1] * 10,
        [3.0, 1.0, 2.0],
        [1.0, 1.0, 1.0, 5.0],
        [-7.5, 0.25, 1e9, 3.0, 3.0, 3.0],
        [float(n) for n in range(21)],
    ],
    ids=str,
)
def test_figures_are_those_of_exact_fractions(values: list[float]) -> None:
    [found] = computed(values)
    assert_alike(found, reference(values))


def test_many_groups_at_once_are_each_what_they_are_alone() -> None:
    rng = random.Random(7)
    groups: list[list[float]] = []
    for _ in range(300):
        spread = 10.0 ** rng.randint(-12, 12)
        few = rng.random() < 0.3
        groups.append(
            [
                float(rng.randint(0, 3)) if few else rng.gauss(rng.choice([0, spread]), spread)
                for _ in range(rng.randint(1, 40))
            ]
        )
    for found, group in zip(computed(*groups), groups, strict=True):
        assert_alike(found, reference(group))


def test_quantiles_are_numpys_default() -> None:
    values = [random.Random(n).gauss(0, 1) for n in range(57)]
    [found] = computed(values)
    assert found.p50 == pytest.approx(np.percentile(values, 50), rel=1e-14)
    assert found.p95 == pytest.approx(np.percentile(values, 95), rel=1e-14)


@pytest.mark.parametrize(
    "values",
    [
        [1e308] * 5,
        [1.7e308, 1.6e308, 1.7e308, 1.5e308],
        [LARGEST, -LARGEST, LARGEST, -LARGEST, 1.0],
        [LARGEST, -LARGEST],
        [LARGEST] * 7,
    ],
    ids=["equal", "huge", "both ends", "two", "largest"],
)
def test_values_at_the_end_of_what_a_double_holds_overflow_nowhere(values: list[float]) -> None:
    [found] = computed(values)
    assert all(map(math.isfinite, found))
    assert_alike(found, reference(values))


@pytest.mark.parametrize(
    "values", [[5e-324], [5e-324, 1e-323, 5e-323], [1e-310, 2e-310, 4e-310], [-1e-320, 1e-320, 0.0]]
)
def test_subnormal_values_keep_what_they_have(values: list[float]) -> None:
    [found], wanted = computed(values), reference(values)
    assert found[:3] == wanted[:3]
    for name in ("mean", "p50", "p95"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), abs=5e-324)
    assert found.anomaly_score == pytest.approx(wanted.anomaly_score, rel=1e-9)


def test_the_score_of_a_value_out_of_all_proportion_is_large_and_finite() -> None:
    [found] = computed([1e-300, 1e-300, 2e-300, 2e-300, 1e300])
    assert found.anomaly_score == LARGEST


def test_small_values_beside_a_huge_one_keep_their_digits() -> None:
    [found] = computed([1e-300, 3e-300, 1e300])
    assert found.p50 == 3e-300


def test_the_mean_of_equal_values_is_that_value() -> None:
    for value in (0.1, 1 / 3, -1e-7, 123456.789):
        [found] = computed([value] * 997)
        assert found.mean == found.p50 == found.p95 == value
        assert found.anomaly_score == 0


def test_where_most_values_are_equal_the_mean_deviation_is_the_measure() -> None:
    [found] = computed([1.0, 1.0, 1.0, 5.0])
    assert found.anomaly_score == pytest.approx(4 / (1.253314 * 1.0))


def test_the_order_of_arrival_leaves_no_trace_in_any_bit() -> None:
    values = [random.Random(n).gauss(1e6, 1) for n in range(500)] + [0.0, -0.0]
    assert len({str(computed(values, seed=seed)) for seed in range(10)}) == 1

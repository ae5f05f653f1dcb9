"""Values read like a person would write them, and axes have round numbers."""

import pytest

from infra.monitoring.boards.board import Unit
from operations.dashboard.values import clock, span, ticks, written


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, Unit.SECONDS, "0 s"),
        (0.00123, Unit.SECONDS, "1.23 ms"),
        (0.9999, Unit.SECONDS, "1 s"),
        (75, Unit.SECONDS, "75 s"),
        (4000, Unit.SECONDS, "66.7 min"),
        (200_000, Unit.SECONDS, "2.31 d"),
        (999.6, Unit.COUNT, "1,000"),
        (12_345, Unit.COUNT, "12.3k"),
        (2_500_000, Unit.COUNT, "2.5M"),
        (-3, Unit.COUNT, "-3"),
        (0.5, Unit.PER_SECOND, "0.5/s"),
        (0.0341, Unit.RATIO, "3.41 %"),
        (0.00001, Unit.RATIO, "<0.01 %"),
        (0, Unit.RATIO, "0 %"),
        (-0.3, Unit.RATIO, "-30 %"),
        (1536 * 1024, Unit.BYTES, "1.5 MiB"),
        (100, Unit.BYTES_PER_SECOND, "100 B/s"),
        (41.2, Unit.DAYS, "41.2 d"),
        (0.25, Unit.CORES, "0.25"),
        (1, Unit.YES_NO, "yes"),
        (0, Unit.YES_NO, "no"),
    ],
)
def test_a_value_has_three_digits_and_its_unit(value: float, unit: Unit, text: str):
    assert written(value, unit) == text


def test_every_unit_can_be_written():
    assert all(written(1.0, unit) for unit in Unit)


@pytest.mark.parametrize(
    ("low", "high", "unit", "texts"),
    [
        (0, 0.0123, Unit.SECONDS, ["0 s", "5 ms", "10 ms", "15 ms"]),
        (0, 700, Unit.SECONDS, ["0 s", "5 min", "10 min", "15 min"]),
        (0, 5e6, Unit.BYTES, ["0 B", "2 MiB", "4 MiB", "6 MiB"]),
        (-0.3, 1, Unit.RATIO, ["-50 %", "0 %", "50 %", "100 %"]),
        (0, 1, Unit.YES_NO, ["no", "yes"]),
    ],
)
def test_an_axis_has_round_numbers_of_its_unit(low: float, high: float, unit: Unit, texts: object):
    assert [written(tick, unit) for tick in ticks(low, high, unit)] == texts


@pytest.mark.parametrize("unit", list(Unit))
@pytest.mark.parametrize("high", [0, 1e-12, 1e-9, 0.3, 1, 59, 61, 3599, 1e5, 1e9, 1e15, 1e300])
def test_an_axis_holds_all_of_what_is_shown_whatever_it_is(unit: Unit, high: float):
    found = ticks(0, high, unit)
    assert found[0] <= 0 <= high <= found[-1] * (1 + 1e-6)
    assert 2 <= len(found) <= 12


def test_times_are_round_and_few():
    hour = clock(1_800_000_015, 1_800_003_615)
    assert all(at % 600 == 0 for at in hour)
    assert 3 <= len(clock(0, 90 * 86_400)) <= 14


def test_spans_are_said_as_they_were_asked_for():
    assert [span(one) for one in (15, 900, 21_600, 604_800)] == ["15 s", "15 min", "6 h", "7 d"]

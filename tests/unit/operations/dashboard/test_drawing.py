"""Lines are where their values are."""

import re

import pytest

from bootstrap.prometheus import Grid
from infra.monitoring.boards.board import Panel, Query, Threshold, Unit
from operations.dashboard import drawing
from operations.dashboard.gathering import Drawn, Picture

GRID = Grid(start=0, step=60, count=5)
Values = tuple[float | None, ...]


def picture(*series: Values, kind: str = "lines", **more: object) -> Picture:
    of = Panel("P", Unit.COUNT, (Query("m", "m"),), "It is.", kind=kind, **more)  # pyright: ignore[reportArgumentType]
    return Picture(of, tuple(Drawn(f"s{n}", values) for n, values in enumerate(series)))


def paths(svg: str) -> list[str]:
    """Of series; the lattice behind them aside."""
    return re.findall(r'class="(?:line|area) [^"]*" d="([^"]*)"', svg)


def plot(of: Picture) -> drawing.Plot:
    return drawing.plot(of, GRID, drawing.colours(of.series, {}))


def test_a_line_goes_from_the_left_to_the_right_and_its_scale_from_zero():
    made = plot(picture((0.0, 10.0, 20.0, 30.0, 40.0)))
    assert paths(made.svg) == ["M0 1000L250 750L500 500L750 250L1000 0"]
    assert [(mark.at, mark.text) for mark in made.up] == [
        *((0, "0"), (25, "10"), (50, "20"), (75, "30"), (100, "40"))
    ]


def test_a_gap_stays_a_gap_and_a_lonely_value_is_a_dot():
    made = plot(picture((40.0, None, 20.0, None, None)))
    assert paths(made.svg) == ["M0 0h0M500 500h0"]


def test_areas_are_upon_each_other_and_what_is_not_there_adds_nothing():
    made = plot(picture((10.0, 10.0, None, None, 10.0), (30.0,) * 3 + (None, 30.0), kind="areas"))
    lower, upper = paths(made.svg)
    assert lower.startswith("M0 750L250 750L500 1000L500 1000L250 1000L0 1000Z")
    assert upper.startswith("M0 0L250 0L500 250L500 1000L250 750L0 750Z")
    assert upper.count("M") == 2, "where nothing is, is a gap"


def test_limits_are_lines_with_a_band_behind_them():
    above, below = (
        plot(picture((10.0,) * 5, thresholds=(Threshold(20, "critical", below),))).limits[0]
        for below in (False, True)
    )
    assert above.at == pytest.approx(100 * 20 / 30)
    assert (above.low, above.high, above.text) == (above.at, 100, "20")
    assert (below.low, below.high) == (0, below.at)


def test_a_limit_far_above_is_said_and_leaves_the_line_its_room():
    made = plot(picture((10.0, 12.0, 8.0, 9.0, 10.0), thresholds=(Threshold(1e4, "critical"),)))
    assert made.limits == ()
    assert made.far == ("critical from 10k",)
    assert made.up[-1].text == "15"


def test_texts_of_limits_do_not_lie_upon_each_other():
    limits = (Threshold(0.8, "warning"), Threshold(0.95, "critical"))
    made = plot(picture((0.5,) * 5, thresholds=limits, most=1))
    assert [limit.under for limit in made.limits] == [True, True]


@pytest.mark.parametrize(
    "values",
    [(None,) * 4 + (1e308,), (-5.0, 5.0, 0.0, None, 1e-300), (0.0,) * 5, (1e-12,) * 5, (-1.0,) * 5],
)
def test_any_values_can_be_drawn_and_stay_inside(values: Values):
    for kind in ("lines", "areas"):
        numbers = [
            int(n)
            for n in re.findall(r"-?\d+", " ".join(paths(plot(picture(values, kind=kind)).svg)))
        ]
        assert all(0 <= number <= 1000 for number in numbers)
    assert drawing.spark(values).startswith("<svg")


def test_a_strip_shows_yes_no_and_nothing():
    strip = drawing.states((1.0, 1.0, 0.0, None, 1.0))
    assert re.findall(r'class="(\w+)" x="([\d.]+)" width="([\d.]+)"', strip) == [
        *(("yes", "0.0", "400.0"), ("no", "400.0", "200.0"), ("yes", "800.0", "200.0"))
    ]


def test_who_is_known_has_a_colour_of_its_own_and_others_the_rest():
    series = [Drawn(name, ()) for name in ("other", "rest-service", "b")]
    assert drawing.colours(series, {"rest-service": 0}) == (1, 0, 2)
    many = [Drawn(str(n), ()) for n in range(12)]
    assert len(set(drawing.colours(many, {}))) == 12


def test_the_time_of_the_day_stands_below():
    assert [mark.text for mark in drawing.hours(Grid(0, 600, 13))] == [
        *("00:00", "00:30", "01:00", "01:30", "02:00")
    ]
    assert drawing.hours(Grid(0, 7200, 100))[0].text == "01 Jan"

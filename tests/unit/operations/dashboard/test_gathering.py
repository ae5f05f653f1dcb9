"""Panels get what was answered, and say why where nothing was."""

from collections.abc import Iterator

import httpx
import pytest

from bootstrap.prometheus import AwayError, Grid, Prometheus
from infra.monitoring.boards.board import Board, Panel, Query, Row, Threshold, Unit
from operations.dashboard import gathering
from operations.dashboard.gathering import Drawn, Gathered, Picture, gather
from tests.harness.prometheus_api import Api, error, series, served

GRID = Grid(start=1000, step=30, count=4)
LAST = 1090


@pytest.fixture
def api() -> Iterator[Api]:
    with served(Api(names=["m"])) as running:
        yield running


def gathered(api: Api, *panels: Panel, needs: bool = False) -> Gathered:
    row = Row("Row", panels, needs="proxysql" if needs else None)
    with httpx.Client(base_url=api.url, trust_env=False) as http:
        boards = [Board("b", "Board", "It is.", (row,))]
        return gather(Prometheus(http), boards, GRID, lambda _done, _total: None)


def panel(*queries: Query, kind: str = "lines", **more: object) -> Panel:
    return Panel("Panel", Unit.COUNT, queries, "It is.", kind=kind, **more)  # pyright: ignore[reportArgumentType]


def picture(api: Api, one: Panel) -> Picture:
    return gathered(api, one).sheets[0].strips[0].pictures[0]


def test_a_legend_is_filled_in_from_labels_whatever_they_hold(api: Api):
    labels = {"job": '<script>alert("1")</script>', "pod": "a\nb", "long": "x" * 200}
    api.series = {"m": [series(labels, {LAST: "1"})]}
    named = [
        picture(api, panel(Query("m", legend))).series[0].name
        for legend in ("{{job}}, here", "{{ pod }} {{none}}", "{{none}}", "{{long}}")
    ]
    assert named[0] == '<script>alert("1")</script>, here'
    assert named[1] == "a b"
    assert named[2].startswith("job=<script>"), "a name is better than none"
    assert len(named[3]) == 80


def test_a_query_is_asked_once_with_a_window_in_place_of_its_word(api: Api):
    one = panel(Query("rate(m[$window])", "m"))
    gathered(api, one, one)
    asked = [a["query"] for a in api.asked if a.get("step")]
    assert asked == ["rate(m[120s])"]
    assert gathering.window(Grid(0, 600, 2)) == 630, "no moment between two steps is unseen"


def test_why_there_is_nothing_is_told_apart(api: Api):
    api.errors = {"broken": error("execution", "query timed out in expression evaluation", 503)}
    api.names = ["m"]
    asked = {text: picture(api, panel(Query(text, "x"))) for text in ("broken", "m", "absent > 0")}
    assert asked["broken"].problem == "execution: query timed out in expression evaluation"
    assert asked["broken"].missing == ()
    assert (asked["m"].problem, asked["m"].missing) == ("", ())
    assert asked["absent > 0"].missing == ("absent",)


def test_what_one_query_lacks_does_not_take_the_others_away(api: Api):
    api.errors = {"broken": error("execution", "no")}
    api.series = {"m": [series({}, {LAST: "1"})]}
    found = picture(api, panel(Query("m", "m"), Query("broken", "b")))
    assert [one.name for one in found.series] == ["m"]
    assert found.problem == "execution: no"


def test_of_many_series_those_with_the_highest_peaks_are_drawn_and_that_is_said(api: Api):
    api.series = {"m": [series({"n": f"{n:03}"}, {LAST: str(n)}) for n in range(100)]}
    found = picture(api, panel(Query("m", "{{n}}")))
    assert [one.name for one in found.series] == [f"{n:03}" for n in range(88, 100)]
    assert found.notes == ("100 series; the 12 with the highest peaks are drawn",)


def test_where_little_is_too_little_those_with_the_lowest_values_are_drawn(api: Api):
    api.series = {"m": [series({"n": f"{n:03}"}, {LAST: str(n)}) for n in range(100)]}
    limit = Threshold(3, "critical", below=True)
    found = picture(api, panel(Query("m", "{{n}}"), thresholds=(limit,)))
    assert [one.name for one in found.series] == [f"{n:03}" for n in range(12)]
    assert found.notes == ("100 series; the 12 with the lowest values are drawn",)


def test_areas_have_the_rest_as_one_for_they_are_a_sum(api: Api):
    api.series = {"m": [series({"n": f"{n:03}"}, {1000: "1", LAST: str(n)}) for n in range(100)]}
    found = picture(api, panel(Query("m", "{{n}}"), kind="areas"))
    assert len(found.series) == 13
    assert found.series[-1] == Drawn("88 others", (88.0, None, None, float(sum(range(88)))))


def test_what_is_no_number_is_noted(api: Api):
    api.series = {"m": [series({}, {1000: "NaN", LAST: "1"})]}
    assert picture(api, panel(Query("m", "m"))).notes == (
        "left out: 0/0, where nothing happened (times: 1)",
    )


def test_what_is_infinite_is_noted_as_that(api: Api):
    """Time left at the pace of who stands still: something happened, and it is no 0/0."""
    api.series = {"m": [series({}, {1000: "+Inf", 1030: "-Inf", LAST: "1"})]}
    assert picture(api, panel(Query("m", "m"))).notes == (
        "left out: x/0, which is infinite (times: 2)",
    )


def test_a_series_of_gaps_alone_is_none(api: Api):
    api.series = {"m": [series({}, {1000: "NaN"})]}
    assert picture(api, panel(Query("m", "m"))).series == ()


@pytest.mark.parametrize(
    ("values", "limits", "level"),
    [
        ((1.0, 9.0), (Threshold(5, "warning"), Threshold(8, "critical")), "critical"),
        ((9.0, 5.0), (Threshold(5, "warning"), Threshold(8, "critical")), "warning"),
        ((9.0, 4.9), (Threshold(5, "warning"),), None),
        ((1.0, 4.9), (Threshold(5, "critical", below=True),), "critical"),
        ((1.0, 5.0), (Threshold(5, "critical", below=True),), None),
        ((9.0, None), (Threshold(8, "critical"),), "critical"),
        ((9.0, None, None), (Threshold(8, "critical"),), None),
    ],
)
def test_the_last_value_is_held_to_the_limits(
    values: tuple[float | None, ...], limits: tuple[Threshold, ...], level: str | None
):
    of = panel(Query("m", "m"), thresholds=limits)
    assert Picture(of, (Drawn("m", values),)).level == level
    assert Picture(of, (Drawn("m", values, held=False),)).level is None


def test_a_no_is_worth_a_look():
    of = panel(Query("m", "m"), kind="states")
    assert Picture(of, (Drawn("a", (1.0,)), Drawn("b", (0.0,)))).level == "warning"
    assert Picture(of, (Drawn("a", (1.0,)),)).level is None


def test_a_row_about_what_the_stack_has_not_is_known(api: Api):
    absent = panel(Query("proxysql_x", "x"))
    strips = [
        gathered(api, absent, needs=True).sheets[0].strips[0],
        gathered(api, absent).sheets[0].strips[0],
        gathered(api, panel(Query("m", "m")), needs=True).sheets[0].strips[0],
    ]
    assert [one.absent for one in strips] == [True, False, False]


def test_progress_is_told_and_a_server_that_goes_away_ends_it(api: Api):
    panels = tuple(panel(Query(f"m{n}", "m")) for n in range(20))
    board = Board("b", "B", "It is.", (Row("r", panels),))
    told: list[tuple[int, int]] = []
    with httpx.Client(base_url=api.url, trust_env=False) as http:
        gather(Prometheus(http), [board], GRID, lambda done, total: told.append((done, total)))
    assert told == [(n, 20) for n in range(1, 21)]
    with (
        httpx.Client(base_url="http://127.0.0.1:9", trust_env=False) as http,
        pytest.raises(AwayError),
    ):
        gather(Prometheus(http), [board], GRID, lambda _done, _total: None)

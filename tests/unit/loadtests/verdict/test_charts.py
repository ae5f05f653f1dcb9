"""Charts as SVG: what is drawn where, and that what was not measured is not drawn."""

import re
from xml.etree import ElementTree

import pytest

from loadtests.verdict import figures
from loadtests.verdict.charts import COLOURS, HEIGHT, LEFT, WIDTH, Chart, Series, steps, svg
from loadtests.verdict.targets import targets_for
from tests.harness.load_runs import run_of

NAMESPACE = "{http://www.w3.org/2000/svg}"


def drawn(chart: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(svg(chart, alone=True))


def lines(chart: Chart) -> list[str]:
    return [
        path.attrib["d"]
        for path in drawn(chart).iter(f"{NAMESPACE}path")
        if path.get("class") == "line"
    ]


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (100, [0, 20, 40, 60, 80, 100]),
        (97, [0, 20, 40, 60, 80, 100]),
        (1.9, [0, 0.5, 1, 1.5, 2]),
        (2000, [0, 500, 1000, 1500, 2000]),
        (0, [0, 0.2, 0.4, 0.6, 0.8, 1]),
    ],
)
def test_an_axis_ends_on_a_round_number_above_all_values(most: float, expected: list[int]) -> None:
    assert steps(most) == pytest.approx(expected)


def test_a_gap_in_what_was_measured_is_a_gap_in_the_line() -> None:
    (line,) = lines(Chart("t", "ms", [0, 1, 2, 3], [Series("a", [5, None, 5, 5])]))
    assert line.count("M") == 2


def test_values_are_drawn_to_scale() -> None:
    (line,) = lines(Chart("t", "ms", [0, 10], [Series("a", [0, 100])]))
    (begin, end) = re.findall(r"([\d.]+) ([\d.]+)", line.replace("h.1", ""))
    assert float(begin[0]) == LEFT
    assert float(begin[1]) > float(end[1])
    assert float(end[0]) < WIDTH


def test_a_stack_is_as_high_as_its_sum_and_its_areas_do_not_cover_each_other() -> None:
    chart = Chart("t", "cores", [0, 1], [Series("a", [1, 1]), Series("b", [1, 1])], stacked=True)
    lower, upper = (
        [float(point.split(",")[1]) for point in area.attrib["points"].split()]
        for area in drawn(chart).iter(f"{NAMESPACE}polygon")
    )
    assert max(upper) == min(lower)
    assert max(lower) < HEIGHT


def test_what_a_name_holds_stays_text() -> None:
    chart = Chart("<t>", "&", [0, 1], [Series("<script>", [1, 2])])
    assert [text.text for text in drawn(chart).iter(f"{NAMESPACE}text")][-1] == "<script>"


def test_a_limit_above_all_values_is_within_the_drawing() -> None:
    drawing = drawn(Chart("t", "ms", [0, 1], [Series("a", [1, 2])], limit=2000))
    (limit,) = (p for p in drawing.iter(f"{NAMESPACE}path") if p.get("class") == "limit")
    assert limit.attrib["d"].split()[1].startswith("24.0H")


def luminance(colour: str) -> float:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_colour_of_a_line_stands_out_from_the_light_and_the_dark_page() -> None:
    for colour in COLOURS[:4]:
        for page in ("#f5f7f9", "#1d2227"):
            lighter, darker = sorted((luminance(colour), luminance(page)), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 2.7, (colour, page)


def test_a_run_is_drawn_with_everything_that_was_measured() -> None:
    titles = [chart.title for chart in figures.charts(run_of(), targets_for("airgap", "async"))]
    assert titles == [
        "Latency",
        "Requests and failures",
        "Users",
        "Queue",
        "Commits and flushes of the store",
        "Processor, by group of processes",
        "Ready pods",
    ]


def test_of_many_groups_the_largest_are_drawn_and_the_others_as_one() -> None:
    cpu = {f"group-{number}": 0.1 * number for number in range(1, 13)}
    pods = {**{f"workload-{number}": 2 for number in range(12)}, "scaled": 2}
    points = [p.model_copy(update={"cpu": cpu, "pods": pods}) for p in run_of().points]
    points[5] = points[5].model_copy(update={"pods": pods | {"scaled": 5}})
    found = figures.charts(run_of(points=tuple(points)), targets_for("airgap", "async"))
    (cores,) = (chart for chart in found if chart.stacked)
    assert [one.name for one in cores.series][::7] == ["group-12", "all others"]
    assert sum(one.values[0] or 0.0 for one in cores.series) == pytest.approx(sum(cpu.values()))
    assert found[-1].series[0].name == "scaled"
    assert len(found[-1].series) == 7


def test_what_nobody_measured_has_no_chart() -> None:
    bare = tuple(
        point.model_copy(update={"queue": None, "lag": None, "cpu": {}, "pods": {}})
        for point in run_of().points
    )
    found = figures.charts(run_of(points=bare), targets_for("airgap", "async"))
    assert not {"Queue", "Processor, by group of processes", "Ready pods"} & {
        c.title for c in found
    }


def test_an_observer_that_looks_rarely_is_drawn_where_it_looked() -> None:
    points = tuple(
        point if point.at % 5 == 0 else point.model_copy(update={"queue": None, "lag": None})
        for point in run_of().points
    )
    found = figures.charts(run_of(points=points), targets_for("airgap", "async"))
    (queue,) = (chart for chart in found if chart.title == "Queue")
    assert list(queue.times) == [0, 5, 10, 15, 20, 25, 30, 35]


def test_a_run_without_a_point_has_no_chart() -> None:
    assert figures.charts(run_of(points=()), targets_for("airgap", "async")) == []

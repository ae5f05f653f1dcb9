"""The report of a run: a page for a browser, one for a repository, and files for programs.

The page holds all it needs, works offline and asks no other site for anything.
"""

from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from loadtests.verdict import charts, figures, junit, monitored, saved, summary, views
from loadtests.verdict.charts import Chart
from loadtests.verdict.checks import Judgement
from loadtests.verdict.results import Run
from loadtests.verdict.targets import targets_for

PAGE: Final = Path(__file__).with_name("page")


def write(run: Run, judgement: Judgement, folder: Path, baseline: Run | None = None) -> Path:
    """Write the page, the summary with its charts, `run.json` and `junit.xml`; gives the page."""
    folder.mkdir(parents=True, exist_ok=True)
    saved.save(run, judgement, folder)
    junit.write(run, judgement, folder)
    shown = figures.charts(run, targets_for(run.stack, run.target))
    tables = [*views.tables(run, baseline), *monitored.tables(run)]
    listings = [*views.listings(run), *monitored.listings(run)]
    summary.write(run, judgement, tables=tables, listings=listings, shown=shown, folder=folder)
    page = folder / "report.html"
    text = _environment().get_template("report.html.j2").render(
        run=run,
        judgement=judgement,
        title=views.title(run),
        tables=tables,
        listings=listings,
        css=(PAGE / "report.css").read_text(encoding="utf-8"),
        js=(PAGE / "report.js").read_text(encoding="utf-8"),
        figures=[_figure(chart) for chart in shown],
        aims_missed=sum(bool(check.aim) and not check.aim_reached for check in judgement.checks),
    )  # fmt: skip
    page.write_text(text, encoding="utf-8")
    return page


def _figure(chart: Chart) -> dict[str, Any]:
    return {
        "chart": chart,
        "svg": charts.svg(chart),
        "legend": [(one.name, charts.colour(at)) for at, one in enumerate(chart.series)],
        "data": {
            "unit": chart.unit,
            "times": list(chart.times),
            "series": [{"name": one.name, "values": list(one.values)} for one in chart.series],
        },
    }


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["n"] = _number  # pyright: ignore[reportUnknownMemberType]
    return made


def _number(value: float, decimals: int = 0) -> str:
    return f"{value:,.{decimals}f}"

"""`report.md`: the report for a repository, which shows Markdown and SVG and runs no script."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from loadtests.verdict import charts
from loadtests.verdict.charts import Chart
from loadtests.verdict.checks import Judgement
from loadtests.verdict.results import Run
from loadtests.verdict.views import Listing, Table, per_second, title

FILE: Final = "report.md"
PICTURES: Final = ("Latency", "Commits and flushes of the store")
"""The charts that stand in it, each a file beside it."""


def write(
    run: Run,
    judgement: Judgement,
    *,
    tables: Iterable[Table],
    listings: Iterable[Listing],
    shown: Iterable[Chart],
    folder: Path,
) -> Path:
    """Write the summary and its pictures."""
    verdict = "Passed" if judgement.passed else "Failed"
    lines = [
        f"# Load run: {in_text(title(run))}",
        "",
        f"**{verdict}.** {run.started_at}, revision {run.revision}, {run.requests:,} requests, "
        f"{per_second(run.requests, run.seconds)} a second over {run.seconds:,.1f} s.",
        "",
        *(f"- {in_text(sentence)}" for sentence in judgement.sentences),
        *([""] if judgement.sentences else []),
        *_targets(judgement),
    ]
    for table in tables:
        lines += ["", f"## {table.title}", "", *_table(table.heads, table.rows)]
        lines += ["", in_text(table.note)] if table.note else []
    for chart in shown:
        if chart.title in PICTURES:
            name = f"{re.sub(r'[^a-z]+', '-', chart.title.lower())}.svg"
            (folder / name).write_text(charts.svg(chart, alone=True) + "\n", encoding="utf-8")
            lines += ["", f"![{chart.title}, {chart.unit}, over the seconds of the run]({name})"]
    for listing in listings:
        lines += ["", f"## {listing.title}", "", *_table(("", ""), listing.rows, "---")]
    path = folder / FILE
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _targets(judgement: Judgement) -> list[str]:
    rows = [
        (
            check.subject,
            check.what,
            check.measured,
            check.target,
            "reached" if check.passed else "missed",
            check.aim,
            ("reached" if check.aim_reached else "not yet") if check.aim else "",
        )
        for check in judgement.checks
    ]
    return _table(("held", "what", "measured", "target", "", "aim", ""), rows, "---")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], align: str = "---:") -> list[str]:
    return [
        f"| {' | '.join(heads)} |",
        f"| --- |{f' {align} |' * (len(heads) - 1)}",
        *(f"| {' | '.join(in_text(cell) for cell in row)} |" for row in rows),
    ]


def in_text(text: str) -> str:
    """The text as Markdown shows it word for word, and on one line, also within a table."""
    return re.sub(r"[|<>*_`\\\[\]]", lambda found: "\\" + found.group(), " ".join(text.split()))

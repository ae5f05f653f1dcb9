"""``make load-compare``: two saved runs, the older one from the reports of this repository."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from loadtests.verdict import saved, views
from loadtests.verdict.compare import MARGINS, Change, NotComparableError, compare
from loadtests.verdict.results import Run
from loadtests.verdict.saved import SavedRunError

NO_REGRESSION, REGRESSION, NOT_COMPARED = 0, 1, 2


def newest(root: Path) -> Path:
    """The folder of the newest run of this checkout; their names are their times.

    Raises:
        SavedRunError: there is none.
    """
    runs = sorted((root / "build" / "load").glob(f"*/{saved.FILE}"))
    if not runs:
        raise SavedRunError(
            f"no run is kept in {root / 'build' / 'load'}; `make load` makes one, or name one "
            "with NEW=FOLDER"
        )
    return runs[-1].parent


def baseline_of(root: Path, run: Run) -> Path:
    """Where the run is kept that others of its stack and way are held against."""
    return root / "docs" / "reports" / f"{run.stack}-{run.target}"


def beside(root: Path, run: Run, console: Console) -> Run | None:
    """The synchronous run in the reports, to stand beside an asynchronous one.

    One that cannot be read is said and left out: the run that was just made is worth its report.
    """
    folder = root / "docs" / "reports" / f"{run.stack}-sync"
    if run.target != "async" or not folder.exists():
        return None
    try:
        return saved.load(folder)
    except SavedRunError as error:
        console.print(f"no baseline in the report: {error}", markup=False, highlight=False)
        return None


def compare_saved(
    root: Path, console: Console, base: str = "", new: str = "", *, anyway: bool = False
) -> int:
    """Compare, and print; gives the exit code."""
    try:
        newer = saved.read(Path(new) if new else newest(root))
        older = saved.read(Path(base) if base else baseline_of(root, newer.run))
        for kept in () if anyway else (older, newer):
            _refuse_untrusted(kept)
        changes = compare(older.run, newer.run, anyway=anyway)
    except (SavedRunError, NotComparableError) as error:
        console.print("[red]not compared:[/red]", end=" ", highlight=False)
        console.print(error, markup=False, highlight=False, soft_wrap=True)
        return NOT_COMPARED
    console.print(f"before: {_named(older)}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"now:    {_named(newer)}", markup=False, highlight=False, soft_wrap=True)
    console.print(_table(changes))
    margins = "; ".join(f"{what} {margin.text}" for what, margin in MARGINS.items())
    console.print(f"Taken for noise, whichever is more: {margins}.", style="dim")
    worse = [change for change in changes if change.worse]
    for change in worse:
        console.print(_sentence(change), markup=False, highlight=False, soft_wrap=True)
    if not worse:
        console.print("[green]no regression[/green]")
    return REGRESSION if worse else NO_REGRESSION


def _refuse_untrusted(kept: saved.Kept) -> None:
    if kept.untrusted:
        raise NotComparableError(
            f"the run of {kept.run.started_at} is no result: {'; '.join(kept.untrusted)}. Make it "
            "again, or say ANYWAY=1"
        )


def _named(kept: saved.Kept) -> str:
    run, missed = kept.run, len(kept.sentences)
    verdict = "passed" if kept.passed else f"missed {missed} target{'' if missed == 1 else 's'}"
    return f"{views.title(run)}; {verdict}; {run.started_at}, revision {run.revision}"


def _sentence(change: Change) -> str:
    by = "" if change.share == "-" else f" ({change.share})"
    return (
        f"regression: {change.subject}: {change.what} is {change.show(change.new)}, "
        f"it was {change.show(change.old)}{by}"
    )


def _table(changes: list[Change]) -> Table:
    table = Table("", "")
    for heading in ("before", "now", "change"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for change in changes:
        if change.old is None and change.new is None:
            continue
        mark = "[red]regression[/red]" if change.worse else "better" if change.better else ""
        table.add_row(
            change.subject,
            change.what,
            change.show(change.old),
            change.show(change.new),
            change.share,
            mark,
        )
    return table

"""``make load``: a run, its judgement, its report."""

from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bootstrap.checkout import Checkout
from bootstrap.kube import WAY_OUT, KubeError
from loadtests.run import run as runs
from loadtests.run.plan import Settings
from loadtests.verdict.gate import judge
from loadtests.verdict.report import write
from loadtests.verdict.targets import targets_for

REACHED, MISSED, INTERRUPTED = 0, 1, 130


def folder_for(root: Path) -> Path:
    """Where this run's report goes; made here."""
    folder = root / "build" / "load" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True)
    return folder


def load(checkout: Checkout, chosen: Settings, console: Console) -> int:
    """Run, judge, report; gives the exit code."""
    folder = folder_for(checkout.root)
    try:
        done = runs.perform(checkout, chosen, folder, console)
    except (KubeError, *runs.FAILURES) as error:
        console.print("[red]no load run:[/red]", end=" ", highlight=False)
        way_out = f"; {WAY_OUT}" if isinstance(error, KubeError) else ""
        console.print(f"{error}{way_out}", markup=False, highlight=False, soft_wrap=True)
        return MISSED
    targets = targets_for(done.run.stack, chosen.target)
    judgement = judge(done.run, targets)
    page = write(done.run, judgement, folder, None)
    for word in done.words:
        console.print(f"load generator: {word}", style="dim", markup=False, highlight=False)
    for sentence in (*done.complaints, *judgement.sentences):
        console.print("[red]✗[/red]", end=" ")
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
    reached = judgement.passed and not done.complaints
    console.print(
        "[green]every target is reached[/green];" if reached else "[red]not reached[/red];",
        f"the report is {page}",
        highlight=False,
        soft_wrap=True,
    )
    if done.interrupted:
        return INTERRUPTED
    return REACHED if reached else MISSED

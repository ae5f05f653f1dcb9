"""``make load``: a run, its judgement, its report."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bootstrap.checkout import Checkout, saved_context
from bootstrap.kube import WAY_OUT, Kube, KubeError
from loadtests import tokens
from loadtests.run import run as runs
from loadtests.run.plan import Settings
from loadtests.verdict.command import beside
from loadtests.verdict.gate import judge
from loadtests.verdict.report import write
from loadtests.verdict.targets import targets_for

REACHED, MISSED = 0, 1


def folder_for(root: Path) -> Path:
    """Where this run's report goes; made here."""
    folder = root / "build" / "load" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True)
    return folder


def load(checkout: Checkout, chosen: Settings, console: Console) -> int:
    """Run, judge, report; gives the exit code.

    Raises:
        ValueError: there are no targets for the stack that runs, or too few open files.
    """
    try:
        Kube(checkout).command()  # without a cluster nothing else is worth saying
        # Before the run: one that nothing can be held to is not worth making.
        targets = targets_for(str(saved_context(checkout.state).get("stack", "")), chosen.target)
        folder = folder_for(checkout.root)
        try:
            with tokens.session(checkout):
                done = runs.perform(checkout, chosen, folder, console)
        finally:
            with suppress(OSError):
                folder.rmdir()  # of a run that did not begin; no other folder is empty
    except (KubeError, *runs.FAILURES) as error:
        console.print("[red]no load run:[/red]", end=" ", highlight=False)
        way_out = f"; {WAY_OUT}" if isinstance(error, KubeError) else ""
        console.print(f"{error}{way_out}", markup=False, highlight=False, soft_wrap=True)
        return MISSED
    judgement = judge(done.run, targets, done.complaints)
    page = write(done.run, judgement, folder, beside(checkout.root, done.run, console))
    for word in done.words:
        console.print(f"load generator: {word}", style="dim", markup=False, highlight=False)
    for sentence in judgement.sentences:
        console.print("[red]✗[/red]", end=" ")
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
    word = "[green]every target is reached" if judgement.passed else "[red]not reached"
    console.print(f"{word}[/];", f"the report is {page}", highlight=False, soft_wrap=True)
    return REACHED if judgement.passed else MISSED

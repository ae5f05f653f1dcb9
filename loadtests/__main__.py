"""``python -m loadtests COMMAND``: the Makefile's targets that meet a running platform."""

from typing import Annotated

import typer
from rich.console import Console

from bootstrap.checkout import find_checkout
from bootstrap.cli import exit_with_a_sentence
from loadtests import smoke
from loadtests.run.command import load
from loadtests.run.plan import settings
from loadtests.verdict.command import compare_saved

Given = Annotated[str, typer.Option(help="empty: as it is by default")]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command("smoke")
def run_smoke() -> None:
    """Create, update, read, list and delete resources, and see every event arrive in order."""
    if not smoke.run(find_checkout(), Console()):
        raise typer.Exit(1)


@app.command("load")
def run_load(  # noqa: PLR0917 - typer's way to say what a command takes
    users: Given = "",
    pace: Given = "",
    seconds: Given = "",
    shape: Given = "",
    target: Given = "",
    flow: Given = "",
    rate: Given = "",
    workers: Given = "",
) -> None:
    """Let users write and read documents, hold the run to its targets, close the ledger."""
    chosen = settings(
        users=users,
        pace=pace,
        seconds=seconds,
        shape=shape,
        target=target,
        flow=flow,
        rate=rate,
        workers=workers,
    )
    raise typer.Exit(load(find_checkout(), chosen, Console()))


@app.command("load-compare")
def run_compare(base: Given = "", new: Given = "", anyway: Given = "") -> None:
    """Compare two saved load runs; 1 when one got worse, 2 when they cannot be compared."""
    root = find_checkout().root
    raise typer.Exit(compare_saved(root, Console(), base, new, anyway=bool(anyway)))


if __name__ == "__main__":
    exit_with_a_sentence(app)

"""``python -m loadtests COMMAND``: the Makefile's targets that meet a running platform."""

import typer
from rich.console import Console

from bootstrap.checkout import find_checkout
from bootstrap.cli import exit_with_a_sentence
from loadtests import smoke

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _group() -> None:  # with a single command typer would drop its name
    """Meet the running platform as its users do."""


@app.command("smoke")
def run_smoke() -> None:
    """Create, update, read, list and delete resources, and see every event arrive in order."""
    if not smoke.run(find_checkout(), Console()):
        raise typer.Exit(1)


if __name__ == "__main__":
    exit_with_a_sentence(app)

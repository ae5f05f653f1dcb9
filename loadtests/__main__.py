"""``python -m loadtests COMMAND``: the Makefile's targets that meet a running platform."""

from typing import Annotated, Any

import typer
from rich.console import Console

from bootstrap.checkout import find_checkout
from bootstrap.cli import exit_with_a_sentence
from loadtests import smoke, tokens
from loadtests.run.command import load
from loadtests.run.plan import settings
from loadtests.verdict.command import compare_saved


def _given(text: str) -> Any:
    """An option as make hands it on: empty when it was not given."""
    return typer.Option(help=text, show_default=False)


app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command("smoke")
def run_smoke() -> None:
    """Create, update, read, list and delete resources, and see every event arrive in order."""
    if not smoke.run(find_checkout(), Console()):
        raise typer.Exit(1)


@app.command("token")
def run_token(
    scope: Annotated[
        str, _given("what it is for, in words; by default all but clients:admin")
    ] = "",
) -> None:
    """Print an access token. The client that got it is deactivated; it lasts until it ends."""
    if not tokens.show(find_checkout(), Console(stderr=True), tuple(scope.split())):
        raise typer.Exit(1)


@app.command("load")
def run_load(  # noqa: PLR0917 - typer's way to say what a command takes
    users: Annotated[str, _given("how many at most; 10000 by default")] = "",
    pace: Annotated[str, _given("seconds from a user's request to its next; 10 by default")] = "",
    seconds: Annotated[str, _given("how long all of them stay; 180 by default")] = "",
    shape: Annotated[str, _given("steady (default), ramp, spike or soak")] = "",
    target: Annotated[str, _given("async (default): /api/data; sync: /data; telemetry")] = "",
    flow: Annotated[str, _given("mixed (default), write or read")] = "",
    rate: Annotated[str, _given("users that come in a second at most; 200 by default")] = "",
    workers: Annotated[
        str, _given("processes they are spread over, pods on the cluster; 2, or as the stack says")
    ] = "",
    where: Annotated[str, _given("machine (default): this one; cluster: pods of the stack")] = "",
) -> None:
    """Let users write and read, hold the run to its targets, close the ledger."""
    chosen = settings(
        users=users,
        pace=pace,
        seconds=seconds,
        shape=shape,
        target=target,
        flow=flow,
        rate=rate,
        workers=workers,
        where=where,
    )
    raise typer.Exit(load(find_checkout(), chosen, Console()))


@app.command("load-compare")
def run_compare(
    base: Annotated[str, _given("folder or file of the older run; by default the kept one")] = "",
    new: Annotated[str, _given("folder or file of the newer run; by default the newest")] = "",
    anyway: Annotated[str, _given("1: also where the loads differ")] = "",
) -> None:
    """Compare two saved load runs; 1 when one got worse, 2 when they cannot be compared."""
    root = find_checkout().root
    raise typer.Exit(compare_saved(root, Console(), base, new, anyway=bool(anyway)))


if __name__ == "__main__":
    exit_with_a_sentence(app, "interrupted; nothing was kept")

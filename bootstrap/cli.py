"""The commands behind the Makefile. ``make help`` is their front page."""

import json
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from docker.errors import DockerException
from rich.console import Console

from bootstrap import doctor as doctor_screen
from bootstrap import lifecycle, official, program, render, status
from bootstrap.checkout import Checkout, find_checkout, saved_context
from bootstrap.cluster import k3d
from bootstrap.environment import own_variables
from bootstrap.progress import perform, seconds
from bootstrap.steps import Report, Step, StepFailed
from bootstrap.tools import E2E_TOOLS, tool_steps

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
console = Console()
INTERRUPTED = 130  # as shells report a program ended by Ctrl-C

Stack = Annotated[
    str, typer.Option(envvar="STACK", help="airgap, dev or prod; chosen by machine if not given")
]


def _current_stack(checkout: Checkout, stack: str) -> str:
    chosen = stack or saved_context(checkout.state).get("stack")
    if not chosen:
        raise StepFailed("nothing runs from this checkout yet; run make up")
    return str(chosen)


@app.command()
def doctor() -> None:
    """What this machine has and lacks, and which environment `make up` would choose."""
    if not doctor_screen.show(find_checkout(), console):
        raise typer.Exit(1)


@app.command()
def up(stack: Stack = "") -> None:
    """Bring the whole platform up: tools, images, cluster, then the Pulumi program."""
    checkout = find_checkout()
    began = time.monotonic()
    perform(checkout, [lifecycle.engine_step(checkout)])  # the choice below asks it
    plan = lifecycle.plan_up(checkout, stack)
    console.print(f"environment [bold]{plan.environment}[/bold]: {plan.why}", highlight=False)
    try:
        reports = perform(checkout, plan.steps)
    except StepFailed as error:
        if plan.environment == "airgap" or not plan.automatic:
            raise
        console.print(f"dev did not come up: {error}", markup=False, highlight=False)
        console.print("falling back to [bold]airgap[/bold]; STACK=dev tries again")
        k3d.remove_cluster(checkout)
        plan = lifecycle.plan_up(checkout, "airgap")
        reports = perform(checkout, plan.steps)
    spent = lifecycle.split(reports)
    before = time.monotonic()
    lifecycle.run_program(checkout, plan)
    spent["pulumi up"] = time.monotonic() - before
    spent["in all"] = time.monotonic() - began
    (checkout.state / "timings.json").write_text(json.dumps(spent, indent=2) + "\n")
    status.show(checkout, console)
    console.print("  ".join(f"{part} {seconds(took)}" for part, took in spent.items()))


@app.command()
def down() -> None:
    """Remove the platform and its cluster; caches stay."""
    lifecycle.down(find_checkout(), console)


@app.command()
def alone() -> None:
    """Stop what other checkouts run on this machine; their `make up` starts it again."""
    lifecycle.alone(find_checkout(), console)


@app.command()
def clean() -> None:
    """Remove what `down` removes, this checkout's state, and the caches shared by checkouts."""
    lifecycle.clean(find_checkout(), console)


@app.command()
def preview(stack: Stack = "") -> None:
    """Show what `up` would change, held against the policies."""
    checkout = find_checkout()
    chosen = _current_stack(checkout, stack)
    program.select_stack(checkout, chosen)
    program.pulumi(checkout, ["preview", "--diff", "--stack", chosen, *lifecycle.POLICIES])


@app.command("status")
def show_status() -> None:
    """What runs, and the endpoints, one line each."""
    if not status.show(find_checkout(), console):
        raise typer.Exit(1)


@app.command("render")
def render_manifests(stack: Stack = "prod") -> None:
    """Write all manifests of a stack to build/manifests/STACK, without any cluster."""
    checkout = find_checkout()
    perform(checkout, lifecycle.plan_tools(checkout))
    render.render(checkout, stack, console)


@app.command()
def env() -> None:
    """Print exports for a shell in which plain pulumi and kubectl work: eval "$(make -s env)"."""
    print("unset PULUMI_CONFIG_PASSPHRASE")  # noqa: T201 - it would win over our file
    for name, value in own_variables(find_checkout()).items():
        print(f"export {name}={shlex.quote(value)}")  # noqa: T201 - its output is the product


@app.command()
def tools() -> None:
    """Build the tools alone (Pulumi, Kubernetes and the provider), from published modules."""
    checkout = find_checkout()
    perform(checkout, lifecycle.plan_tools(checkout))


@app.command("pin")
def pin_releases() -> None:
    """Fill in the checksums of official releases that bootstrap/official.toml still lacks."""
    checkout = find_checkout()

    def run(report: Report) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            official.pin(official.CATALOGUE, report, Path(scratch))

    perform(checkout, [Step("official: checksums", run)])


@app.command()
def images() -> None:
    """Build the base images and start the registry, and build the program's tools beside it.

    It is what the integration tests need.
    """
    checkout = find_checkout()
    perform(checkout, [*lifecycle.plan_images(checkout), *lifecycle.plan_tools(checkout)])


@app.command("e2e-tools")
def e2e_tools() -> None:
    """Build what the end-to-end tests need beside a platform that is up."""
    checkout = find_checkout()
    perform(checkout, tool_steps(checkout, E2E_TOOLS))


def _complain(error: BaseException) -> None:
    # No markup: a reason may hold brackets, and must be shown as it is.
    console = Console(file=sys.stderr)
    console.print("[red]failed:[/red]", end=" ")
    console.print(str(error), markup=False, highlight=False)


def main() -> None:
    """Run a command of the Makefile."""
    exit_with_a_sentence(app)


def exit_with_a_sentence(
    commands: typer.Typer, interrupted: str = "interrupted; the same command continues"
) -> None:
    """Run a command; a failure is a sentence on standard error and exit code 1."""
    try:
        commands()
        code = 0
    except SystemExit as ended:  # how typer ends, after Ctrl-C as well
        code = ended.code
    except (StepFailed, ValueError, OSError, DockerException) as error:
        # OSError: a full disk or a denied folder; the system's own sentence is the clearest.
        _complain(error)
        code = 1
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:
        Console(file=sys.stderr).print(interrupted)
    sys.exit(code)

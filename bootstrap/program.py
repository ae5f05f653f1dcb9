"""Runs the Pulumi program of this checkout through the CLI, as a user would."""

import shutil
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bootstrap.checkout import Checkout, save_context
from bootstrap.environment import make_passphrase, shell_environment
from bootstrap.steps import StepFailed


@contextmanager
def stack_files_kept(checkout: Checkout) -> Generator[None]:
    """Put the stack files back as they were.

    With a passphrase, Pulumi writes a salt into the stack file of whoever runs it. It is of no
    use to anybody else (state carries its own), and a committed file must not change because
    somebody brought the platform up.
    """
    before = {path: path.read_bytes() for path in checkout.root.glob("Pulumi.*.yaml")}
    try:
        yield
    finally:
        for path, content in before.items():
            if path.read_bytes() != content:
                path.write_bytes(content)


def pulumi(
    checkout: Checkout,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    capture: bool = False,
) -> str:
    """Run ``pulumi ARGUMENTS`` in the checkout; its output goes to the terminal unless captured.

    Raises:
        StepFailed: it exited with another code than 0.
    """
    program = checkout.bin / "pulumi"
    if not program.exists():
        raise StepFailed("pulumi is not here yet; run make up (or make tools for the tools alone)")
    with stack_files_kept(checkout):
        finished = subprocess.run(
            [str(program), *arguments],
            cwd=checkout.root,
            env=dict(environment or shell_environment(checkout)),
            stdin=subprocess.DEVNULL if not sys.stdin.isatty() else None,
            capture_output=capture,
            text=True,
            check=False,
        )
    if finished.returncode != 0:
        said = f":\n{finished.stderr.strip()}" if capture else ""
        raise StepFailed(
            f"pulumi {' '.join(arguments)} ended with exit code {finished.returncode}{said}"
        )
    return finished.stdout or ""


def select_stack(checkout: Checkout, stack: str) -> None:
    """Make ``stack`` exist and be the one that plain ``pulumi`` commands act on."""
    if not (checkout.root / f"Pulumi.{stack}.yaml").exists():
        known = sorted(path.stem.split(".")[1] for path in checkout.root.glob("Pulumi.*.yaml"))
        raise StepFailed(
            f"STACK={stack}: there is no Pulumi.{stack}.yaml; the stacks here are {known}"
        )
    make_passphrase(checkout)
    (checkout.state / "state").mkdir(exist_ok=True)
    save_context(checkout, stack=stack)
    pulumi(checkout, ["stack", "select", "--create", stack, "--non-interactive"], capture=True)


def forget_stack(checkout: Checkout, stack: str) -> None:
    """Drop the state of a stack whose cluster is gone with all that it described."""
    stacks = checkout.state / "state" / ".pulumi" / "stacks" / "millrace"
    for path in stacks.glob(f"{stack}.json*"):
        path.unlink()
    for kind in ("backups", "history", "locks"):
        folder = checkout.state / "state" / ".pulumi" / kind
        for path in folder.glob(f"**/{stack}"):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()

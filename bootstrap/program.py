"""Runs the Pulumi program of this checkout through the CLI, as a user would."""

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bootstrap.checkout import Checkout
from bootstrap.environment import make_passphrase, shell_environment
from bootstrap.steps import StepFailed

# Stacks whose clusters, state and passphrase belong to this checkout alone.
LOCAL_STACKS = ("airgap", "dev")


def tidy_stack_files(checkout: Checkout) -> None:
    """Take out of the local stack files what running Pulumi leaves in them.

    With a passphrase it writes a salt, and quotes top-level booleans while at it. The salt is of
    no use to anybody else (state carries its own), and stands in the way of a new passphrase.
    Everything else in the file, edits made meanwhile included, stays.
    """
    for stack in LOCAL_STACKS:
        path = checkout.root / f"Pulumi.{stack}.yaml"
        text = path.read_text()
        tidy = re.sub(r"(?m)^encryptionsalt: .*\n", "", text)
        tidy = re.sub(r'(?m)^(  \S+: )"(true|false)"$', r"\1\2", tidy)
        if tidy != text:
            # In one go: whoever is killed here leaves the one or the other, and no half of it.
            draft = path.with_suffix(".yaml.new")
            draft.write_text(tidy)
            draft.replace(path)


def _finish(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Wait for Pulumi's end, whatever happens: it got the Ctrl-C too and is cleaning up.

    Killing it instead would leave the stack locked. (A second Ctrl-C makes it stop at once.)
    """
    interrupted: KeyboardInterrupt | None = None
    while True:
        try:
            said, complained = process.communicate()
        except KeyboardInterrupt as error:
            interrupted = error
            continue
        if interrupted is not None:
            raise interrupted
        return said or "", complained or ""


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
    tidy_stack_files(checkout)
    process = subprocess.Popen(
        [str(program), *arguments],
        cwd=checkout.root,
        env=dict(environment or shell_environment(checkout)),
        stdin=subprocess.DEVNULL if not sys.stdin.isatty() else None,
        stdout=subprocess.PIPE if capture else None,
        stderr=subprocess.PIPE if capture else None,
        text=True,
    )
    try:
        said, complained = _finish(process)
    finally:
        tidy_stack_files(checkout)
    if process.returncode != 0:
        reason = f":\n{complained.strip()}" if capture else ""
        raise StepFailed(
            f"pulumi {' '.join(arguments)} ended with exit code {process.returncode}{reason}"
        )
    return said


def release_dead_locks(checkout: Checkout, stack: str) -> None:
    """Remove the locks of updates on this machine whose process is gone (killed, power lost)."""
    for path in (checkout.state / "state" / ".pulumi" / "locks").glob(f"**/{stack}/*.json"):
        lock = json.loads(path.read_text())
        here = lock.get("hostname") == socket.gethostname()
        if here and not Path(f"/proc/{lock.get('pid')}").exists():
            path.unlink()


def select_stack(checkout: Checkout, stack: str) -> None:
    """Make ``stack`` exist in the checkout's state, free of locks that nobody holds."""
    if not (checkout.root / f"Pulumi.{stack}.yaml").exists():
        known = sorted(path.stem.split(".")[1] for path in checkout.root.glob("Pulumi.*.yaml"))
        raise StepFailed(
            f"STACK={stack}: there is no Pulumi.{stack}.yaml; the stacks here are {known}"
        )
    make_passphrase(checkout)
    (checkout.state / "state").mkdir(exist_ok=True)
    release_dead_locks(checkout, stack)
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


def foreign_stacks(checkout: Checkout) -> list[str]:
    """Stacks in this checkout's state that are not local, and so describe something elsewhere."""
    stacks = checkout.state / "state" / ".pulumi" / "stacks" / "millrace"
    return sorted({path.name.split(".")[0] for path in stacks.glob("*.json")} - set(LOCAL_STACKS))

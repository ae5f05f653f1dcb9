"""Plain ``pulumi`` on this checkout's stack, as a user of ``make env`` would call it."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from bootstrap.checkout import Checkout, saved_context
from bootstrap.environment import shell_environment
from bootstrap.program import tidy_stack_files

SECONDS = 420.0  # for one command; a whole `up` from nothing takes one to two minutes


@dataclass(frozen=True)
class Ran:
    """How a command ended; ``said`` is all of its output, standard error included."""

    code: int
    said: str

    @property
    def tail(self) -> str:
        return self.said[-4000:]


def stack_name(checkout: Checkout) -> str:
    """The stack that `make up` put on this checkout's cluster."""
    return str(saved_context(checkout.state)["stack"])


def pulumi(
    checkout: Checkout,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    stack: str | None = None,
) -> Ran:
    """Run one command, on the checkout's stack if not said otherwise; no questions, no colours."""
    tidy_stack_files(checkout)
    done = subprocess.run(
        [
            *(str(checkout.bin / "pulumi"), *arguments),
            *("--stack", stack or stack_name(checkout), "--non-interactive", "--color=never"),
        ],
        cwd=checkout.root,
        env={**shell_environment(checkout), **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=SECONDS,
        check=False,
    )
    tidy_stack_files(checkout)
    return Ran(done.returncode, done.stdout)

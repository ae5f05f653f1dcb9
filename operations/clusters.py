"""Which cluster is meant: the one that this checkout made, or that of a stack like prod."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from bootstrap.checkout import Checkout, find_checkout, saved_context
from bootstrap.kube import Kube
from operations.request import RefusedError

_LOCAL: Final = ("airgap", "dev")


@dataclass(frozen=True)
class Elsewhere(Kube):
    """A cluster that the operator's own kubeconfig leads to, by the context the stack names."""

    context: str

    def command(self, *args: str) -> list[str]:
        """Never the current context: it is whatever was looked at last."""
        return ["kubectl", "--context", self.context, *args]

    def environment(self) -> dict[str, str]:
        """All of it: a cloud's kubeconfig runs programs that log in, with variables of theirs."""
        return dict(os.environ)


def chosen(environ: Mapping[str, str] = os.environ) -> Kube:
    """What STACK says, as for `make up` and `pulumi up`.

    Raises:
        RefusedError: there is no such stack, or nothing says where its cluster is.
    """
    checkout, stack = find_checkout(environ), environ.get("STACK", "")
    if stack in ("", *_LOCAL, saved_context(checkout.state).get("stack")):
        return Kube(checkout)
    context = _context(checkout, stack)
    if not environ.get("KUBECONFIG"):
        raise RefusedError(
            f"STACK={stack} is no cluster of this checkout: set KUBECONFIG to a file with the "
            f"context {context}, in a shell without `make env` (README, Production)"
        )
    if Path(environ["KUBECONFIG"]) == checkout.kubeconfig:
        raise RefusedError(
            f"KUBECONFIG is that of the local cluster, and STACK={stack} is another: use a shell "
            "without `make env`, with the stack's own (README, Production)"
        )
    return Elsewhere(checkout, context)


def _context(checkout: Checkout, stack: str) -> str:
    file = checkout.root / f"Pulumi.{stack}.yaml"
    try:
        said: Any = yaml.safe_load(file.read_text())
    except FileNotFoundError:
        raise RefusedError(f"there is no stack {stack!r}: {file.name} is missing") from None
    context = said.get("config", {}).get("millrace:kubernetes", {}).get("context")
    if not context:
        raise RefusedError(
            f"{file.name} names no cluster: set millrace:kubernetes.context, so that it cannot be "
            "whatever the kubeconfig points at"
        )
    return str(context)

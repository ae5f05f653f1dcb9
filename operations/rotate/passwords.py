"""What rotations of passwords have in common, whichever server they open.

The server accepts both before any client is given the new one; the old one is dropped when no
client holds it, and the Job that drops it tries it and has to be refused.
"""

from collections.abc import Callable, Sequence
from typing import Final

from infra.model.records import Records
from operations.rotate.holders import missing
from operations.rotate.kind import Changes, Kind, Phase, Step
from operations.rotate.stack import Stack

SYNC_SECONDS: Final = 300
"""A kubelet takes up to a minute and a half to bring a changed Secret into a pod that runs."""

Unused = Callable[[Stack, str], None]
"""Returns when nobody uses the secret's previous password any more."""


def kind(
    name: str, secrets: Callable[[Records], Sequence[str]], unused: Unused | None = None
) -> Kind:
    """A kind whose secrets are passwords of the stack file's `rotation.passwords`.

    Args:
        unused: waits until nobody uses the previous one, where that can be seen.
    """
    accepted = [Step("the server accepts both, clients are given the new one", _update)]
    accepted.append(Step("every pod has the new one", _wait_for_holders))
    if unused is not None:
        accepted.append(Step("nobody uses the old one", unused))
    return Kind(
        name=name,
        secrets=secrets,
        generation=lambda stack, secret: str(stack.rotation.of(secret).generation),
        phase=lambda stack, secret: stack.rotation.of(secret).previous or "",
        begin=_begin,
        phases=(
            Phase("accepted", accepted, lambda _, secret: {_at(secret, "previous"): "refused"}),
            Phase(
                "refused",
                [Step("the server dropped the old one and was seen to refuse it", _update)],
                lambda _, secret: {_at(secret, "previous"): "forgotten"},
            ),
            Phase(
                "forgotten",
                [Step("the old one is gone from state and Secrets", _update)],
                lambda _, secret: {_at(secret, "previous"): None},
            ),
        ),
    )


def _at(secret: str, key: str) -> str:
    return f"rotation.passwords.{secret}.{key}"


def _begin(stack: Stack, secret: str) -> Changes:
    generation = stack.rotation.of(secret).generation + 1
    # Together: a new generation without the old one accepted would lock clients out.
    return {_at(secret, "generation"): generation, _at(secret, "previous"): "accepted"}


def _update(stack: Stack, _secret: str) -> None:
    stack.update()


def _wait_for_holders(stack: Stack, secret: str) -> None:
    what = f"every pod that mounts {secret} has the new one"
    stack.wait(what, lambda: missing(stack.kube, secret), SYNC_SECONDS)

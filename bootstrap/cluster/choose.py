"""Which environment fits this machine: dev (k3d) where it can work, else airgap."""

from collections.abc import Sequence
from dataclasses import dataclass

from docker.errors import DockerException

from bootstrap.checkout import Checkout
from bootstrap.cluster import airgap, k3d
from bootstrap.steps import StepFailed

ENVIRONMENTS = ("airgap", "dev")


@dataclass(frozen=True)
class Choice:
    """The environment, why, and what was found out about container registries on the way.

    ``automatic`` says that nobody asked for it: another may be tried if it does not come up.
    """

    environment: str
    why: str
    registry_reachable: bool
    automatic: bool


def possible_environments(*, registry_reachable: bool) -> dict[str, list[str]]:
    """Every environment, with the reasons why it cannot be on this machine; none: it can."""
    return {"airgap": [], "dev": k3d.reasons_against(registry_reachable=registry_reachable)}


def choose_environment(checkout: Checkout, wanted: str = "") -> Choice:
    """The environment for this checkout: the one asked for, the one that is up, or the best.

    Raises:
        StepFailed: ``wanted`` is unknown, or cannot work on this machine.
    """
    reachable = k3d.images_reachable()
    return decide(
        wanted,
        reasons=possible_environments(registry_reachable=reachable)["dev"],
        registry_reachable=reachable,
        running=_running(checkout),
    )


def decide(
    wanted: str, *, reasons: Sequence[str], registry_reachable: bool, running: str | None
) -> Choice:
    """The choice, from what is known about the machine; ``reasons`` speak against dev."""
    because = "; ".join(reasons)
    if wanted and wanted not in ENVIRONMENTS:
        raise StepFailed(
            f"STACK={wanted}: no such local environment; use one of {', '.join(ENVIRONMENTS)}, "
            "or leave it out"
        )
    if wanted and running and wanted != running:
        raise StepFailed(
            f"STACK={wanted}: this checkout's cluster is of the other kind, {running}; "
            "make down removes it first"
        )
    if wanted == "dev" and reasons:
        raise StepFailed(f"STACK=dev cannot work here: {because}. STACK=airgap can")
    if wanted:
        return Choice(wanted, f"STACK={wanted} asks for it", registry_reachable, automatic=False)
    if running:
        why = "this checkout's cluster is of this kind (make down first, to change)"
        return Choice(running, why, registry_reachable, automatic=False)
    if reasons:
        return Choice("airgap", f"dev cannot be: {because}", registry_reachable, automatic=True)
    why = "privileged containers and a container registry are available"
    return Choice("dev", why, registry_reachable, automatic=True)


def _running(checkout: Checkout) -> str | None:
    """The environment whose cluster this checkout already has, if any."""
    try:
        if airgap.cluster_status(checkout).state != "absent":
            return "airgap"
        if (checkout.bin / "k3d").exists() and k3d.cluster_status(checkout) != "absent":
            return "dev"
    except DockerException:
        return None  # no engine, so no cluster
    return None

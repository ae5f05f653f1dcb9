"""The environment `dev`: k3s in a container by k3d, as bootstrap/k3d.yaml describes it.

Source: k3d 5.8.3, `k3d cluster create --help` and its config schema v1alpha5.
"""

import json
import os
import subprocess
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from docker.errors import APIError, DockerException, NotFound

from bootstrap.builder import remove_builder
from bootstrap.checkout import DOCUMENTED_PORTS, Checkout
from bootstrap.cluster.node import open_files_limit
from bootstrap.engine import connect, privileged_possible
from bootstrap.network import require_port
from bootstrap.registry import remove_registry
from bootstrap.steps import Report, StepFailed
from bootstrap.tools import K3D

# As in k3d.yaml; a test holds them together.
K3S_IMAGE = "rancher/k3s:v1.36.4-k3s1"
REGISTRY_IMAGE = "registry:2.8.3"
# k3d starts this one beside every cluster, for as long as creating it takes (pkg/client/tools.go).
TOOLS_IMAGE = f"ghcr.io/k3d-io/k3d-tools:{K3D.version}"
IMAGES = (K3S_IMAGE, REGISTRY_IMAGE, TOOLS_IMAGE)
REACH_SECONDS = 10


def cluster_name(checkout: Checkout) -> str:
    """The cluster's name; k3d's containers are called ``k3d-NAME-…``."""
    return f"millrace-{checkout.id}"


def config_path(checkout: Checkout) -> Path:
    return checkout.root / "bootstrap" / "k3d.yaml"


def config_environment(checkout: Checkout) -> dict[str, str]:
    """The variables that k3d.yaml refers to."""
    ports = {f"MILLRACE_PORT_{name.upper()}": str(checkout.port(name)) for name in DOCUMENTED_PORTS}
    return ports | {
        "MILLRACE_CLUSTER": cluster_name(checkout),
        "MILLRACE_REGISTRY_NAME": checkout.name("registry"),
        "MILLRACE_CHECKOUT": checkout.id,
        "MILLRACE_OPEN_FILES": str(open_files_limit()),
    }


def reasons_against(*, registry_reachable: bool) -> list[str]:
    """Why k3d cannot work on this machine; empty if it can."""
    reasons: list[str] = []
    if not privileged_possible():
        reasons.append(
            "privileged containers cannot start here (this machine withholds capabilities from "
            "the container engine), and k3d's nodes are privileged"
        )
    if not registry_reachable:
        reasons.append(f"not all images that k3d starts can be reached: {', '.join(IMAGES)}")
    return reasons


def images_reachable() -> bool:
    """Whether all that k3d starts could be pulled: asked of the engine, so no without one."""
    try:
        client = connect(timeout=REACH_SECONDS)
    except DockerException:
        return False
    try:
        api: Any = client.api  # its stubs leave parameters open
        for image in IMAGES:
            api.inspect_distribution(image)
    except (APIError, OSError):
        return False
    finally:
        client.close()
    return True


def ensure_cluster(checkout: Checkout, report: Report) -> None:
    """Have the k3d cluster run, and write its kubeconfig (mode 0600, context ``millrace``).

    Raises:
        StepFailed: a port is taken, or k3d could not create it; nothing is left of it then.
    """
    state = cluster_status(checkout)
    if state == "absent":
        # It would stand in the way of k3d's own, at whose name and port it is.
        remove_registry(checkout)
        for name in DOCUMENTED_PORTS:
            require_port(checkout, checkout.port(name), name)
        report.say("creating the k3d cluster")
        try:
            report.run(
                _command(checkout, "cluster", "create", "--config", str(config_path(checkout))),
                env=os.environ | config_environment(checkout),
                on_line=lambda line: setattr(report, "status", line),
            )
        except BaseException:
            _remove_leftovers(checkout)
            raise
    elif state == "stopped":
        report.say("starting the k3d cluster")
        report.run(_command(checkout, "cluster", "start", cluster_name(checkout), "--wait"))
    write_kubeconfig(checkout)


def cluster_status(checkout: Checkout) -> str:
    """``running``, ``stopped`` or ``absent``."""
    listed = _ask(checkout, "cluster", "list", "--output", "json")
    return parse_status(json.loads(listed or "null") or [], cluster_name(checkout))


def parse_status(clusters: list[Any], name: str) -> str:
    """The state of one cluster in the answer of ``k3d cluster list``."""
    for cluster in clusters:
        if cluster["name"] == name:
            return "running" if cluster["serversRunning"] == cluster["serversCount"] else "stopped"
    return "absent"


def write_kubeconfig(checkout: Checkout) -> None:
    """Write the cluster's kubeconfig, closed to other users, its context named ``millrace``."""
    text = _ask(checkout, "kubeconfig", "get", cluster_name(checkout))
    draft = checkout.kubeconfig.with_name("kubeconfig.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(rename_context(text, f"k3d-{cluster_name(checkout)}"))
    draft.replace(checkout.kubeconfig)


def rename_context(kubeconfig: str, context: str) -> str:
    """The kubeconfig with its one context called ``millrace``, as on every environment."""
    lines = kubeconfig.splitlines(keepends=True)
    names = (f"name: {context}\n", f"current-context: {context}\n", f"cluster: {context}\n")
    return "".join(
        line.replace(context, "millrace") if line.lstrip(" -") in names else line for line in lines
    )


def remove_cluster(checkout: Checkout) -> None:
    """Delete the cluster with its registry and network, and the kubeconfig."""
    if (checkout.bin / "k3d").exists() and cluster_status(checkout) != "absent":
        _ask(checkout, "cluster", "delete", cluster_name(checkout))
    _remove_leftovers(checkout)
    checkout.kubeconfig.unlink(missing_ok=True)


def _remove_leftovers(checkout: Checkout) -> None:
    """Remove the builder, and what k3d forgets when it fails early: network and volume."""
    name = f"k3d-{cluster_name(checkout)}"
    with closing(connect()) as client:
        remove_builder(checkout, client)
        with suppress(NotFound):
            client.networks.get(name).remove()
        with suppress(NotFound):
            client.volumes.get(f"{name}-images").remove()


def _command(checkout: Checkout, *args: str) -> list[str]:
    return [str(checkout.bin / "k3d"), *args]


def _ask(checkout: Checkout, *args: str) -> str:
    done = subprocess.run(
        _command(checkout, *args), capture_output=True, text=True, check=False, errors="replace"
    )
    if done.returncode != 0:
        raise StepFailed(f"k3d {' '.join(args)} failed: {done.stderr.strip()[-1000:]}")
    return done.stdout

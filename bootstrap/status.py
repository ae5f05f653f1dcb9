"""``make status``: what runs, the endpoints, one line each, and figures from Prometheus."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from bootstrap import figures
from bootstrap.autoscalers import Autoscaler, autoscalers
from bootstrap.certificates import Certificate, certificates
from bootstrap.checkout import Checkout
from bootstrap.kube import WAY_OUT, Kube, KubeError

PART_OF = "app.kubernetes.io/part-of"
ENDPOINT_SECONDS = 3.0


@dataclass(frozen=True)
class WorkloadStatus:
    """One controller of ours: how many pods it should have and how many are ready.

    ``disruptions`` is what its PodDisruptionBudget allows right now, None without a budget.
    """

    namespace: str
    kind: str
    name: str
    ready: int
    desired: int
    disruptions: int | None = None

    @property
    def fine(self) -> bool:
        return self.ready >= self.desired


@dataclass(frozen=True)
class Endpoint:
    """Something that answers on this machine; ``problem`` is None if it does."""

    what: str
    url: str
    problem: str | None


def show(checkout: Checkout, console: Console) -> bool:
    """Print the state of nodes, workloads and endpoints; True if all of it is well.

    Of Prometheus' figures only an alert that somebody is woken for makes it not well: a ticket
    waits, and a Prometheus that is away is seen by its pod.
    A cluster that is down is an answer, not an accident: it says so, with the way out.
    """
    kube = Kube(checkout)
    try:
        nodes = kube.items("nodes")
        objects = kube.items(
            "daemonsets,deployments,statefulsets,jobs,poddisruptionbudgets,horizontalpodautoscalers"
        )
        found = workloads(objects)
        known = certificates(kube)
    except KubeError as error:
        console.print("[red]the platform is down[/red]", highlight=False)
        console.print(f"{error}\n{WAY_OUT}", markup=False, highlight=False, soft_wrap=True)
        return False
    ready_nodes = [node for node in nodes if is_ready(node)]
    _print_nodes(console, nodes)
    if not found:
        console.print(f"[red]no workload of the platform is there[/red]; {WAY_OUT}")
        return False
    _print_workloads(console, found)
    _print_autoscalers(console, autoscalers(objects))
    _print_certificates(console, known)
    reached = endpoints(checkout)
    for endpoint in reached:
        state = "[green]answers[/green]" if endpoint.problem is None else "[red]no answer[/red]"
        why = f" ({endpoint.problem})" if endpoint.problem else ""
        console.print(f"{endpoint.what:<22} {endpoint.url:<44} {state}{why}", highlight=False)
    measured = figures.figures(kube)
    figures.show(measured, figures.fuse(objects), console)
    return (
        len(ready_nodes) == len(nodes) > 0
        and all(workload.fine for workload in found)
        and not any(certificate.due for certificate in known)
        and all(endpoint.problem is None for endpoint in reached)
        and measured.well
    )


def is_ready(thing: Any) -> bool:
    """Whether a node or pod object has the condition Ready."""
    conditions = thing.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def workloads(objects: Sequence[Any]) -> list[WorkloadStatus]:
    """Our workloads and Jobs among the objects, with their budgets' state."""
    budgets = [item for item in objects if item["kind"] == "PodDisruptionBudget"]
    found: list[WorkloadStatus] = []
    for item in objects:
        metadata, labels = item["metadata"], item["metadata"].get("labels", {})
        if (
            item["kind"] not in ("DaemonSet", "Deployment", "StatefulSet", "Job")
            or labels.get(PART_OF) != "millrace"
        ):
            continue
        status, spec = item.get("status", {}), item["spec"]
        if item["kind"] == "Job":
            ready, desired = status.get("succeeded", 0), spec.get("completions", 1)
        elif item["kind"] == "DaemonSet":
            ready, desired = status.get("numberReady", 0), status.get("desiredNumberScheduled", 1)
        else:
            ready, desired = status.get("readyReplicas", 0), spec.get("replicas", 1)
        found.append(
            WorkloadStatus(
                namespace=metadata["namespace"],
                kind=item["kind"],
                name=metadata["name"],
                ready=ready,
                desired=desired,
                disruptions=_allowed(budgets, item),
            )
        )
    return sorted(found, key=lambda w: (w.namespace, w.kind, w.name))


def _allowed(budgets: Sequence[Any], workload: Any) -> int | None:
    """What the budget that selects this workload's pods allows, or None."""
    labels = workload["spec"].get("template", {}).get("metadata", {}).get("labels", {})
    for budget in budgets:
        if budget["metadata"]["namespace"] != workload["metadata"]["namespace"]:
            continue
        selector = budget["spec"].get("selector", {}).get("matchLabels", {})
        if selector and selector.items() <= labels.items():
            return int(budget.get("status", {}).get("disruptionsAllowed", 0))
    return None


def endpoints(checkout: Checkout) -> list[Endpoint]:
    """What this slice publishes on this machine, each tried once."""
    http = f"http://127.0.0.1:{checkout.port('http')}"
    # The kube-apiserver's certificate is signed by the cluster's own CA; that it answers at all
    # is what is asked here, kubectl above has checked who it is.
    api = f"https://127.0.0.1:{checkout.port('kubernetes')}"
    return [
        _try("rest-service", f"{http}/api/v1/resources", f"{http}/ready"),
        _try("API description", f"{http}/openapi.json", f"{http}/openapi.json"),
        _try("metrics", f"{http}/metrics", f"{http}/metrics"),
        _try("image registry", f"http://{checkout.registry}", f"http://{checkout.registry}/v2/"),
        _try("kube API", api, f"{api}/livez"),
    ]


def _try(what: str, shown: str, asked: str) -> Endpoint:
    try:
        with httpx.Client(
            verify=not asked.startswith("https"), timeout=ENDPOINT_SECONDS, trust_env=False
        ) as http:
            response = http.get(asked)
    except httpx.HTTPError as error:
        return Endpoint(what, shown, f"{type(error).__name__}: {error}")
    # 401 and 403 are answers too: a server is there and wants to know who asks.
    fine = response.status_code < 400 or response.status_code in (401, 403)
    return Endpoint(what, shown, None if fine else f"{asked} says {response.status_code}")


def _print_nodes(console: Console, nodes: Sequence[Any]) -> None:
    for node in nodes:
        version = node["status"].get("nodeInfo", {}).get("kubeletVersion", "")
        state = "[green]ready[/green]" if is_ready(node) else "[red]not ready[/red]"
        console.print(f"node {node['metadata']['name']} {version} {state}", highlight=False)


def _print_workloads(console: Console, found: Sequence[WorkloadStatus]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("namespace", "kind", "name", "ready", "may evict"):
        table.add_column(heading, no_wrap=True)
    for workload in found:
        colour = "green" if workload.fine else "red"
        count = f"[{colour}]{workload.ready}/{workload.desired}[/{colour}]"
        budget = "-" if workload.disruptions is None else str(workload.disruptions)
        table.add_row(workload.namespace, workload.kind, workload.name, count, budget)
    console.print(table)


def _print_autoscalers(console: Console, found: Sequence[Autoscaler]) -> None:
    for one in found:
        console.print(str(one), markup=False, highlight=False, soft_wrap=True)


def _print_certificates(console: Console, known: Sequence[Certificate]) -> None:
    """One line: the days every certificate has left, the first to end first."""
    if not known:
        return
    days = [
        f"[red]{one.name} {one.left} d[/red]" if one.due else f"{one.name} {one.left} d"
        for one in known
    ]
    way_out = "; [red]make up renews what is red[/red]" if any(one.due for one in known) else ""
    console.print(f"certificates last: {', '.join(days)}{way_out}", highlight=False, soft_wrap=True)

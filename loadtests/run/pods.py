"""The load generator's pods on a cluster: made of the stack's template, and how they are.

Bare pods: nothing puts a new one in the place of one that died, with users that begin anew.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from loadtests.run.plan import MASTER_VARIABLE, PLAN_VARIABLE, Plan

NAMESPACE: Final = "loadtest"
NAME: Final = "load-generator"
RUN_LABEL: Final = "millrace.dev/run"
WORKERS: Final = "millrace.dev/workers"
ENTRY: Final = "millrace.dev/entry-"
PORT: Final = 5557
MARGIN_SECONDS: Final = 900
"""Beyond the plan: for images, late answers and the last reports. Then Kubernetes ends a pod that
everybody has forgotten."""


@dataclass(frozen=True)
class Site:
    """What the stack has for load runs on the cluster."""

    template: Mapping[str, Any]
    """Of a pod: metadata and spec."""
    workers: int
    entries: Mapping[str, str]
    """Entry to its URL for users on the cluster."""


def site(found: Mapping[str, Any]) -> Site:
    """From the stack's PodTemplate, as the API gives it."""
    said: Mapping[str, str] = found["metadata"]["annotations"]
    return Site(
        template=found["template"],
        workers=int(said[WORKERS]),
        entries={
            name.removeprefix(ENTRY): url for name, url in said.items() if name.startswith(ENTRY)
        },
    )


def master_pod(site: Site, plan: Plan) -> dict[str, Any]:
    """The one that leads: whoever is attached to its standard input holds the run."""
    pod = _pod(site, plan, "master", f"{plan.run}-master", f"0.0.0.0:{PORT}")
    pod["spec"]["containers"][0] |= {"stdin": True, "stdinOnce": True}
    return pod


def worker_pods(site: Site, plan: Plan, master_address: str) -> list[dict[str, Any]]:
    """All of them; ``master_address`` is that of the master's pod."""
    address = f"[{master_address}]" if ":" in master_address else master_address
    return [
        _pod(site, plan, "worker", f"{plan.run}-worker-{number}", f"{address}:{PORT}")
        for number in range(1, plan.workers + 1)
    ]


def _pod(site: Site, plan: Plan, role: str, name: str, address: str) -> dict[str, Any]:
    about, spec = site.template["metadata"], site.template["spec"]
    (container,) = spec["containers"]
    given = {PLAN_VARIABLE: plan.model_dump_json(), MASTER_VARIABLE: address}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {**about["labels"], RUN_LABEL: plan.run},
            "annotations": about.get("annotations", {}),
        },
        "spec": {
            **spec,
            "activeDeadlineSeconds": int(plan.stages[-1].until) + MARGIN_SECONDS,
            "containers": [
                {
                    **container,
                    "args": [role],
                    "env": [
                        *container.get("env", []),
                        *({"name": key, "value": value} for key, value in given.items()),
                    ],
                }
            ],
        },
    }


@dataclass(frozen=True)
class Seen:
    """A pod at one moment."""

    name: str
    node: str
    address: str
    phase: str
    leaving: bool
    why: str
    """Why it waits or has ended, as Kubernetes says it; empty when it says nothing."""

    @property
    def running(self) -> bool:
        return self.phase == "Running" and not self.leaving

    @property
    def over(self) -> bool:
        return self.phase in ("Failed", "Succeeded")


def seen(item: Mapping[str, Any]) -> Seen:
    """From a pod as the API gives it."""
    status = item["status"]
    return Seen(
        name=item["metadata"]["name"],
        node=item["spec"].get("nodeName", ""),
        address=status.get("podIP", ""),
        phase=status.get("phase", "Pending"),
        leaving="deletionTimestamp" in item["metadata"],
        why="; ".join(_reasons(status)),
    )


def _reasons(status: Mapping[str, Any]) -> Iterable[str]:
    """The pod's own, its container's, and that of the scheduler."""
    if status.get("reason") or status.get("message"):
        yield ": ".join(filter(None, (status.get("reason"), status.get("message"))))
    for container in status.get("containerStatuses", ()):
        for state in ("waiting", "terminated"):
            said: Mapping[str, Any] = container.get("state", {}).get(state, {})
            code = f"exit code {said['exitCode']}" if "exitCode" in said else None
            yield from filter(None, [", ".join(filter(None, (said.get("reason"), code)))])
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield condition.get("message", "no node for it")


def lost(name: str, now: Seen | None) -> str | None:
    """A sentence about a pod that is not what it was, in the middle of a run; None: it is."""
    if now is not None and now.running:
        return None
    if now is None:
        how = "was deleted"
    elif now.leaving:
        how = f"was told to leave node {now.node}"
    else:
        how = f"ended on node {now.node} ({now.why or now.phase})"
    return (
        f"the load generator's pod {name} {how} in the middle of the run, and its users with it: "
        "this was not the load that was asked for, and what they wrote last is in no ledger"
    )

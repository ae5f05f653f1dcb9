"""A drain, a rollout or a changed setting must neither stop the platform nor go unnoticed."""

from collections.abc import Iterator, Sequence
from typing import Final

from policies.resources import Pod, Resource, Table, pod_of, rows, selects, table
from policies.rule import Rule, StackRule

CONFIG_HASH: Final = "config-hash"
"""Ending of the pod annotation that changes with the mounted configuration."""


def rolls_on_config(resource: Resource) -> Iterator[str]:
    pod = pod_of(resource) if resource.long_running else None
    if pod is None or not _mounts_config(pod):
        return
    if not any(key.endswith(CONFIG_HASH) for key in pod.annotations):
        yield (
            "mounts a ConfigMap or Secret, but a changed one would not reach its pods; put a "
            f"hash of it into a pod annotation …/{CONFIG_HASH}"
        )


def _mounts_config(pod: Pod) -> bool:
    return any(
        "configMap" in volume or "secret" in volume or "projected" in volume
        for volume in rows(pod.spec, "volumes")
    )


def surges(resource: Resource) -> Iterator[str]:
    """New pods before old ones go: a rollout never has fewer ready pods than replicas."""
    if resource.kind != "Deployment" or resource.single:
        return
    rolling = table(resource.props, "spec", "strategy", "rollingUpdate")
    if rolling.get("maxUnavailable") not in (0, "0", "0%") or not rolling.get("maxSurge"):
        yield "a rollout may take pods away first; set maxUnavailable 0 and maxSurge 1"


def spreads(resource: Resource) -> Iterator[str]:
    pod = pod_of(resource) if resource.long_running and _several(resource) else None
    if pod is not None and not rows(pod.spec, "topologySpreadConstraints"):
        yield "its replicas may all land on one node; add a topologySpreadConstraint"


def _several(resource: Resource) -> bool:
    return resource.kind != "DaemonSet" and not resource.single


def one_eviction(resources: Sequence[Resource]) -> Iterator[tuple[Resource, str]]:
    """Each workload with replicas has one budget that lets exactly one pod go; a single has none.

    A budget that allows none blocks every drain, one that allows more takes a quorum away, and any
    budget on one replica does one or the other.
    """
    budgets = [r for r in resources if r.kind == "PodDisruptionBudget"]
    for workload in resources:
        pod = pod_of(workload) if workload.kind in ("Deployment", "StatefulSet") else None
        if pod is None:
            continue
        own = [b for b in budgets if _covers(b, workload.namespace, pod.labels)]
        autoscaled = workload.kind == "Deployment" and _autoscaled(workload, resources)
        if workload.replicas == 1 and not autoscaled:
            for budget in own:
                yield budget, f"covers {workload.name}, a single replica; remove it"
        elif not own:
            count = "a range of" if autoscaled else workload.replicas
            yield workload, f"has {count} replicas and no PodDisruptionBudget; add one"
        elif len(own) > 1:
            yield workload, "is covered by two budgets, which blocks every eviction; keep one"
        else:
            replicas = None if autoscaled else workload.replicas
            for finding in _budget(table(own[0].props, "spec"), replicas):
                yield own[0], finding


def _covers(budget: Resource, namespace: object, labels: Table) -> bool:
    selector = table(budget.props, "spec", "selector", "matchLabels")
    return budget.namespace == namespace and selects(selector, labels)


def _autoscaled(workload: Resource, resources: Sequence[Resource]) -> bool:
    name = table(workload.props, "metadata").get("name")
    return any(
        r.kind == "HorizontalPodAutoscaler"
        and r.namespace == workload.namespace
        and table(r.props, "spec", "scaleTargetRef").get("name") == name
        for r in resources
    )


def _budget(spec: Table, replicas: int | None) -> Iterator[str]:
    """`replicas` is None where their number changes."""
    minimum, maximum = spec.get("minAvailable"), spec.get("maxUnavailable")
    if minimum is not None and replicas is None:
        yield f"minAvailable is {minimum} of a range of replicas; set maxUnavailable to 1 instead"
    elif minimum is not None and replicas is not None and minimum != replicas - 1:
        yield f"minAvailable is {minimum} of {replicas}; set {replicas - 1}, so that one may go"
    elif minimum is None and maximum != 1:
        yield f"maxUnavailable is {maximum}; set 1, so that exactly one may go"
    if spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
        yield (
            "a pod that never gets ready blocks the drain; set unhealthyPodEvictionPolicy to "
            "AlwaysAllow"
        )


_ONE_OF_A_SET: Final = "statefulset.kubernetes.io/pod-name"


def no_dangling_service(resources: Sequence[Resource]) -> Iterator[tuple[Resource, str]]:
    pods = [(r.namespace, pod) for r in resources if (pod := pod_of(r)) is not None]
    for service in resources:
        selector = table(service.props, "spec", "selector")
        if service.kind != "Service" or not selector:
            continue
        # The controller adds this one itself; which pods a set has, its template does not say.
        of_all = {k: v for k, v in selector.items() if k != _ONE_OF_A_SET}
        behind = [p for ns, p in pods if ns == service.namespace and selects(of_all, p.labels)]
        if not behind:
            yield service, "its selector matches no pod of this stack"
            continue
        names = {
            port.get("name") for p in behind for _, c in p.containers() for port in rows(c, "ports")
        }
        numbers = {
            port.get("containerPort")
            for p in behind
            for _, c in p.containers()
            for port in rows(c, "ports")
        }
        for port in rows(service.props, "spec", "ports"):
            target = port.get("targetPort", port.get("port"))
            if target not in names | numbers:
                yield service, f"targetPort {target} is no port of the pods behind it"


RULES: Final = (
    Rule("config-hash", "A changed ConfigMap or Secret rolls the pods.", rolls_on_config),
    Rule("surge-rollout", "A rollout adds pods before it takes any away.", surges),
    Rule("spread", "Replicas are spread over nodes.", spreads),
)
STACK_RULES: Final = (
    StackRule(
        "one-eviction", "A budget per replicated workload allows one eviction.", one_eviction
    ),
    StackRule("no-dangling-service", "Every Service reaches a port of a pod.", no_dangling_service),
)

"""Budgets at work: one pod of every replicated workload may be evicted, a second may not."""

from typing import Any

import httpx
import pytest

from bootstrap.kube import Kube
from tests.e2e.cluster import NAMESPACES, pods_of, wait_for
from tests.e2e.conftest import Say

pytestmark = pytest.mark.usefixtures("settled")


def evict(api: httpx.Client, pod: Any) -> httpx.Response:
    """Ask the Eviction API, as `kubectl drain` does."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    return api.post(
        f"/api/v1/namespaces/{namespace}/pods/{name}/eviction",
        json={
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
        },
    )


@pytest.mark.timeout(400)
def test_one_pod_of_each_replicated_workload_can_be_evicted_and_not_two_at_once(
    kube: Kube, api: httpx.Client, http: httpx.Client, say: Say
) -> None:
    replicated = [
        workload
        for namespace in NAMESPACES
        for workload in kube.items("deployments,statefulsets", namespace)
        if workload["spec"]["replicas"] > 1
    ]
    names = {workload["metadata"]["name"] for workload in replicated}
    assert "rest-service" in names, f"the entry has a single replica; replicated are {names}"
    for workload in replicated:
        name, namespace = workload["metadata"]["name"], workload["metadata"]["namespace"]
        first, second = pods_of(kube, namespace, name)[:2]
        # Asked until it is allowed, as `kubectl drain` does: a budget learns a moment later than
        # we that all pods are ready.
        wait_for(
            f"the first eviction of {name} to be allowed",
            lambda first=first: evict(api, first).status_code == 201,
            seconds=60,
        )
        refused = evict(api, second)
        assert refused.status_code == 429, f"{name}: {refused.text[:300]}"
        assert "disruption budget" in refused.json()["message"]
        if name == "rest-service":
            answers = {http.get("/health").status_code for _ in range(50)}
            assert answers == {200}, "requests failed while one of the pods left"
        say(f"{name}: first eviction allowed, second refused with 429")


def test_no_budget_covers_a_single_replica(kube: Kube) -> None:
    """Such a budget could only ever block a drain."""
    single = [
        workload
        for namespace in NAMESPACES
        for workload in kube.items("deployments,statefulsets", namespace)
        if workload["spec"]["replicas"] == 1
    ]
    budgets = [b for namespace in NAMESPACES for b in kube.items("pdb", namespace)]
    for workload in single:
        labels = workload["spec"]["template"]["metadata"]["labels"]
        covering = [
            budget["metadata"]["name"]
            for budget in budgets
            if budget["metadata"]["namespace"] == workload["metadata"]["namespace"]
            and budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
        ]
        assert not covering, f"{workload['metadata']['name']} is covered by {covering}"

"""Every pod that runs meets what the platform promises of all of them."""

import json
from typing import Any

import httpx
import pytest

from bootstrap.kube import Kube
from tests.e2e.cluster import NAMESPACES, owners, wait_for
from tests.harness.checks import WATCHING

HIGH_UID = 10_000
ALLOWED_VOLUMES = {
    *("configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected", "downwardAPI"),
    *("csi", "ephemeral"),
}  # Pod Security Standards, restricted


@pytest.fixture(scope="module")
def pods(kube: Kube) -> list[Any]:
    """All pods of our namespaces, those of finished Jobs included."""
    found = [pod for namespace in NAMESPACES for pod in kube.items("pods", namespace)]
    assert {pod["metadata"]["namespace"] for pod in found} == set(NAMESPACES)
    return found


def containers(pod: Any) -> list[tuple[str, Any]]:
    """Every container with a name for messages; init containers are held to the same rules."""
    spec = pod["spec"]
    return [
        (f"{pod['metadata']['name']}/{container['name']}", container)
        for container in [*spec.get("initContainers", []), *spec["containers"]]
    ]


def program_of(pod: Any) -> str:
    """What kind of program of ours it is."""
    return pod["metadata"].get("labels", {}).get("app.kubernetes.io/component", "")


def is_of_job(pod: Any) -> bool:
    return any(owner["kind"] == "Job" for owner in owners(pod))


def test_namespaces_enforce_pod_security_restricted(kube: Kube, api: httpx.Client) -> None:
    for namespace in NAMESPACES:
        labels = kube.json("get", "namespace", namespace)["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "root-shell"},
            "spec": {"containers": [{"name": "sh", "image": "sh:1", "command": ["sh"]}]},
        }
        answer = api.post(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", json=pod)
        assert answer.status_code == 403, answer.text[:300]
        assert "violates PodSecurity" in answer.json()["message"]


def test_every_pod_meets_restricted_by_its_own_spec(pods: list[Any]) -> None:
    wrong: list[str] = []
    for pod in pods:
        spec, name = pod["spec"], pod["metadata"]["name"]
        wrong += [
            f"{name}: {key}" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)
        ]
        for volume in spec.get("volumes", []):
            if not ALLOWED_VOLUMES & volume.keys():
                wrong.append(f"{name}: volume {volume['name']} is {sorted(volume)}")
        shared = spec.get("securityContext", {})
        for label, container in containers(pod):
            own = container.get("securityContext", {})
            context = {**shared, **own}
            checks = {
                "runAsNonRoot": context.get("runAsNonRoot") is True,
                "uid above 10000": context.get("runAsUser", 0) >= HIGH_UID,
                "seccomp": context.get("seccompProfile", {}).get("type") == "RuntimeDefault",
                "no escalation": own.get("allowPrivilegeEscalation") is False,
                "drops ALL": own.get("capabilities", {}).get("drop") == ["ALL"],
                "adds nothing": not own.get("capabilities", {}).get("add"),
                "read-only root": own.get("readOnlyRootFilesystem") is True,
                "not privileged": not own.get("privileged"),
            }
            wrong += [f"{label}: {what}" for what, held in checks.items() if not held]
    assert wrong == []


def test_every_container_has_requests_limits_and_an_image_by_digest_or_exact_tag(
    pods: list[Any],
) -> None:
    wrong: list[str] = []
    for pod in pods:
        for label, container in containers(pod):
            resources = container.get("resources", {})
            for kind in ("requests", "limits"):
                if missing := {"cpu", "memory"} - resources.get(kind, {}).keys():
                    wrong.append(f"{label}: {kind} lack {sorted(missing)}")
            image = container["image"]
            if "@sha256:" not in image and image.rpartition(":")[2] in ("latest", image):
                wrong.append(f"{label}: image {image}")
    assert wrong == []


def test_every_long_running_container_has_its_probes(pods: list[Any]) -> None:
    wrong = [
        f"{label}: no {probe}"
        for pod in pods
        if not is_of_job(pod)
        for label, container in containers(pod)
        if container in pod["spec"]["containers"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
        if probe not in container
    ]
    assert wrong == []


def test_liveness_and_readiness_of_our_services_ask_different_things(pods: list[Any]) -> None:
    """A restart cannot bring a database back, so liveness must not look at one."""
    for pod in pods:
        if pod["metadata"]["namespace"] != "apps" or is_of_job(pod):
            continue
        (container,) = pod["spec"]["containers"]
        assert container["livenessProbe"]["httpGet"]["path"] == "/health"
        assert container["readinessProbe"]["httpGet"]["path"] == "/ready"


def test_only_what_watches_the_cluster_carries_an_api_token_and_none_has_the_default_account(
    pods: list[Any],
) -> None:
    asking: set[str] = set()
    for pod in pods:
        name, spec = pod["metadata"]["name"], pod["spec"]
        assert spec["serviceAccountName"] != "default", name
        if program_of(pod) in WATCHING:
            assert pod["metadata"]["namespace"] == "monitoring", name
            assert spec.get("automountServiceAccountToken") is True, name
            asking.add(spec["serviceAccountName"])
            continue
        assert spec.get("automountServiceAccountToken") is False, name
        tokens = [
            source
            for volume in spec.get("volumes", [])
            for source in volume.get("projected", {}).get("sources", [])
            if "serviceAccountToken" in source
        ]
        assert not tokens, name
    assert asking == set(WATCHING)


def test_each_replicated_workload_has_a_budget_that_allows_one_eviction(kube: Kube) -> None:
    for namespace in NAMESPACES:
        budgets = kube.items("pdb", namespace)
        for workload in kube.items("deployments,statefulsets", namespace):
            if workload["spec"]["replicas"] < 2:
                continue
            labels = workload["spec"]["template"]["metadata"]["labels"]
            covering = [
                budget
                for budget in budgets
                if budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
            ]
            name = workload["metadata"]["name"]
            assert len(covering) == 1, f"{name} is covered by {len(covering)} budgets"
            (budget,) = covering
            one = ("get", "pdb", budget["metadata"]["name"], "-n", namespace)

            def allows_one(one: tuple[str, ...] = one) -> bool:
                return kube.json(*one)["status"]["disruptionsAllowed"] == 1

            # None while a pod is late with an answer to its probe, or has just begun.
            wait_for(f"the budget of {name} to allow one", allows_one, seconds=120)
            assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_nothing_was_restarted_by_a_failing_probe(kube: Kube, pods: list[Any]) -> None:
    """The kubelet's own reports: a probe that kills healthy containers shows here first."""
    killed = [
        json.dumps([event["involvedObject"]["name"], event["message"]])
        for namespace in NAMESPACES
        for event in kube.items("events", namespace)
        if event.get("reason") == "Killing" and "failed liveness" in event.get("message", "")
    ]
    assert killed == []
    assert pods

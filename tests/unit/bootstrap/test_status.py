"""make status tells what runs from what the API server says, and says so when nothing runs."""

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from bootstrap import status
from bootstrap.checkout import Checkout


def thing(kind: str, name: str, spec: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "millrace"}
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": "apps", "labels": labels},
        "spec": {"template": {"metadata": {"labels": labels}}, **spec},
        "status": state,
    }


def budget(name: str, allowed: int, namespace: str = "apps") -> dict[str, Any]:
    return {
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": namespace, "labels": {}},
        "spec": {"selector": {"matchLabels": {"app.kubernetes.io/name": name}}},
        "status": {"disruptionsAllowed": allowed},
    }


def test_a_workload_is_fine_when_all_its_pods_are_ready() -> None:
    (web,) = status.workloads([thing("Deployment", "web", {"replicas": 2}, {"readyReplicas": 2})])
    assert (web.ready, web.desired, web.fine) == (2, 2, True)


def test_a_workload_short_of_pods_is_not_fine() -> None:
    (web,) = status.workloads([thing("Deployment", "web", {"replicas": 2}, {})])
    assert (web.ready, web.desired, web.fine) == (0, 2, False)


def test_a_job_is_fine_once_it_succeeded() -> None:
    (job,) = status.workloads([thing("Job", "migrate", {"completions": 1}, {"succeeded": 1})])
    assert job.fine
    (job,) = status.workloads([thing("Job", "migrate", {"completions": 1}, {"failed": 3})])
    assert not job.fine


def test_a_budget_belongs_to_the_workload_it_selects_in_its_own_namespace() -> None:
    web = thing("Deployment", "web", {"replicas": 2}, {"readyReplicas": 2})
    found = status.workloads([web, budget("other", 7), budget("web", 9, "data"), budget("web", 1)])
    assert [workload.disruptions for workload in found] == [1]
    assert [workload.disruptions for workload in status.workloads([web])] == [None]


def test_objects_that_are_not_ours_are_not_shown() -> None:
    stranger = thing("Deployment", "stranger", {"replicas": 1}, {})
    del stranger["metadata"]["labels"]["app.kubernetes.io/part-of"]
    assert status.workloads([stranger]) == []


def test_a_node_is_ready_by_its_condition() -> None:
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    unknown = {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}
    assert status.is_ready(ready)
    assert not status.is_ready(unknown)
    assert not status.is_ready({})


def said(command: Any, checkout: Checkout) -> tuple[bool, str]:
    output = io.StringIO()
    fine = command(checkout, Console(file=output, width=200))
    return fine, output.getvalue()


def test_without_a_cluster_status_says_so_and_names_the_way_out(tmp_path: Path) -> None:
    fine, text = said(status.show, Checkout(tmp_path, tmp_path))
    assert not fine
    assert "the platform is down" in text
    assert "make up" in text


def test_a_cluster_that_does_not_answer_is_down_too(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, tmp_path)
    checkout.make_state()
    checkout.kubeconfig.write_text("")
    kubectl = checkout.bin / "kubectl"
    kubectl.write_text("#!/bin/sh\necho 'connection to the server was refused' >&2\nexit 1\n")
    kubectl.chmod(0o755)
    fine, text = said(status.show, checkout)
    assert not fine
    assert "connection to the server was refused" in text
    assert "make up" in text

"""What the Kubernetes API says of pods, and through its proxy the metrics of our services."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

APPS = "apps"
METRICS_PORT = 8080
_NAME = "app.kubernetes.io/name"


@dataclass(frozen=True)
class Pod:
    """A pod that runs: its workload is the name its labels give it, or none."""

    namespace: str
    name: str
    uid: str
    workload: str | None
    ready: bool
    leaving: bool


def pods(api: httpx.Client, namespace: str | None = None) -> list[Pod]:
    """The running pods of a namespace or of all.

    Raises:
        httpx.HTTPError: the API did not answer.
    """
    where = f"namespaces/{namespace}/" if namespace else ""
    answer = api.get(f"/api/v1/{where}pods", params={"fieldSelector": "status.phase=Running"})
    answer.raise_for_status()
    return [_pod(item) for item in answer.json()["items"]]


def _pod(item: Any) -> Pod:
    about = item["metadata"]
    conditions = item["status"].get("conditions", [])
    return Pod(
        namespace=about["namespace"],
        name=about["name"],
        uid=about["uid"],
        workload=about.get("labels", {}).get(_NAME),
        ready=any(c["type"] == "Ready" and c["status"] == "True" for c in conditions),
        leaving="deletionTimestamp" in about,
    )


def scrape(api: httpx.Client, pod: Pod, names: Sequence[str] = ()) -> list[Sample]:
    """The metrics of one pod; with ``names`` only lines that begin with one of these are read.

    Raises:
        httpx.HTTPError: the pod did not answer.
    """
    path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}:{METRICS_PORT}/proxy/metrics"
    answer = api.get(path)
    answer.raise_for_status()
    lines = answer.text.splitlines()
    if names:  # parsing is most of the work
        lines = [line for line in lines if line.startswith(tuple(names))]
    families = text_string_to_metric_families("\n".join(lines) + "\n")
    return [found for family in families for found in family.samples]


def total(api: httpx.Client, workload: str, sample: str, **labels: str) -> float:
    """The sum over all pods of a workload of the samples that carry these labels.

    A counter starts at zero again with its container.

    Raises:
        httpx.HTTPError: a pod did not answer.
    """
    return sum(
        found.value
        for pod in pods(api, APPS)
        if pod.workload == workload and not pod.leaving
        for found in scrape(api, pod, (sample,))
        if found.name == sample and labels.items() <= found.labels.items()
    )

"""Metrics of our services, read from every pod through the API server's proxy."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

from bootstrap.kube import Kube
from tests.e2e.cluster import pods_of


def total(api: httpx.Client, kube: Kube, workload: str, sample: str, **labels: str) -> float:
    """The sum over all pods of a workload of the samples that carry these labels.

    A counter starts at zero again with its container.
    """
    summed = 0.0
    for pod in pods_of(kube, "apps", workload):
        name = pod["metadata"]["name"]
        answer = api.get(f"/api/v1/namespaces/apps/pods/{name}:8080/proxy/metrics")
        assert answer.status_code == 200, f"{name}: {answer.text[:300]}"
        for family in text_string_to_metric_families(answer.text):
            for found in family.samples:
                if found.name == sample and labels.items() <= found.labels.items():
                    summed += found.value
    return summed

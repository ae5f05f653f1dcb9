"""Nodes: what their kubelets say of themselves, and of every container by cAdvisor.

A kubelet has thousands of series, and cAdvisor a hundred for each container; kept is what a rule or
a board asks for.
"""

from collections.abc import Sequence
from typing import Any, Final

from infra.monitoring import exporters
from infra.monitoring.scraping.parts import NODES, Document, keeping

_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_OF_PODS: Final = "container_network_.+"


def of_nodes(*, verified: bool) -> list[dict[str, Any]]:
    """The jobs `kubelet` and `cadvisor`, with the label `node`.

    Args:
        verified: whether kubelets have certificates of the cluster's CA.
    """
    return [
        _job("kubelet", "/metrics", verified, [keeping(exporters.names("kubelet"))]),
        _job("cadvisor", "/metrics/cadvisor", verified, _of_containers())
        # What it says is as old as its last look; by its own clock a container that ended would be
        # there for minutes more.
        | {"honor_timestamps": False},
    ]


def _job(name: str, path: str, verified: bool, kept: Sequence[Document]) -> Document:
    trust: Document = {"ca_file": f"{_ACCOUNT}/ca.crt"}
    return {
        "job_name": name,
        "metrics_path": path,
        "scheme": "https",
        "authorization": {"credentials_file": f"{_ACCOUNT}/token"},
        "tls_config": trust if verified else {"insecure_skip_verify": True},
        "kubernetes_sd_configs": list(NODES),
        "relabel_configs": [
            {"source_labels": ["__meta_kubernetes_node_name"], "target_label": "node"},
            {"source_labels": ["__meta_kubernetes_node_name"], "target_label": "instance"},
        ],
        "metric_relabel_configs": list(kept),
    }


def _of_containers() -> list[Document]:
    by_name_and_container = ["__name__", "container", "pod", "id"]
    return [
        keeping(exporters.names("cAdvisor")),
        # Of control groups the root is kept, which is the node. A pod's own are the sum of its
        # containers', and of its network they are all there is.
        {
            "source_labels": by_name_and_container,
            "regex": "container_(?:cpu|memory|spec)_.+;;.*;/.+",
            "action": "drop",
        },
        {"source_labels": by_name_and_container, "regex": f"{_OF_PODS};.*;;.*", "action": "drop"},
        {"regex": "image|name", "action": "labeldrop"},
    ]

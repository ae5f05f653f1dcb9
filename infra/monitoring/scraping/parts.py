"""What jobs of several kinds are made of."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from components.kit.paths import CA_FILE
from infra.model.objects import APPS, DATA, MONITORING
from infra.monitoring.rules import INTERVAL_SECONDS

Document = dict[str, Any]

PODS: Final[tuple[Document, ...]] = (
    {"role": "pod", "namespaces": {"names": [APPS, DATA, MONITORING]}},
)
"""Every pod of the platform, a target for each port of a container. The same in all jobs."""
NODES: Final[tuple[Document, ...]] = ({"role": "node"},)
PHASE: Final = "__meta_kubernetes_pod_phase"
NAME: Final = "__meta_kubernetes_pod_label_app_kubernetes_io_name"
PORT: Final = "__meta_kubernetes_pod_container_port_name"
WHERE: Final[tuple[Document, ...]] = (
    {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
    {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
)
"""Of whatever is a pod."""
_ENDED: Final[Document] = {"source_labels": [PHASE], "regex": "Failed|Succeeded", "action": "drop"}
"""A pod that was evicted is still there to be looked at, and answers nobody."""


def interval() -> str:
    """As often as rules are evaluated."""
    return f"{INTERVAL_SECONDS}s"


def pods(
    name: str,
    wanted: Iterable[tuple[str, str]],
    *,
    relabel: Sequence[Document] = (),
    keep: Iterable[str] | None = None,
    more: Document | None = None,
) -> Document:
    """A job whose targets are pods, with `job` as their label app.kubernetes.io/name says.

    Args:
        wanted: that label and the port's name, of each kind of pod.
        relabel: more rules for targets, after all others.
        keep: names of the metrics that are kept; None: all.
        more: of the job, like its scheme.
    """
    chosen = "|".join(f"{one};{port}" for one, port in wanted)
    return {
        "job_name": name,
        **(more or {}),
        "kubernetes_sd_configs": list(PODS),
        "relabel_configs": [
            {"source_labels": [NAME, PORT], "regex": chosen, "action": "keep"},
            _ENDED,
            {"source_labels": [NAME], "target_label": "job"},
            *WHERE,
            *relabel,
        ],
        **({"metric_relabel_configs": [keeping(keep)]} if keep is not None else {}),
    }


def keeping(names: Iterable[str]) -> Document:
    """Of all metrics those of these names; histograms' parts have names of their own."""
    return {"source_labels": ["__name__"], "regex": "|".join(sorted(names)), "action": "keep"}


def host(name: str) -> str:
    """Of a Service of the namespace monitoring."""
    return f"{name}.{MONITORING}.svc"


def tls(server_name: str) -> Document:
    """HTTPS with a server of the platform, at whatever address it was found."""
    return {"scheme": "https", "tls_config": {"ca_file": CA_FILE, "server_name": server_name}}

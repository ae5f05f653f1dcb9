"""Namespaces enforce `restricted` unless nodes lend a folder there; nothing lives in `default`."""

from collections.abc import Iterator
from typing import Final

from policies.resources import Resource, table
from policies.rule import Rule
from policies.rules_pod_security import LENT_TO, READS_NODE_LOGS

_MODES: Final = ("enforce", "warn", "audit")
_CLUSTER_SCOPED: Final = (
    "Namespace",
    "ClusterRole",
    "ClusterRoleBinding",
    "PersistentVolume",
    "PriorityClass",
    "StorageClass",
    "CustomResourceDefinition",
)


def restricted_labels(resource: Resource) -> Iterator[str]:
    if resource.kind != "Namespace":
        return
    labels = table(resource.props, "metadata", "labels")
    # `baseline` refuses every folder of a node as well. Of such a namespace's pods the rest of
    # `restricted` is asked here alone.
    metadata = table(resource.props, "metadata")
    lent = metadata.get("name") == LENT_TO and READS_NODE_LOGS in table(metadata, "annotations")
    wanted = "privileged" if lent else "restricted"
    for mode in _MODES:
        label = f"pod-security.kubernetes.io/{mode}"
        if labels.get(label) != wanted:
            yield f"label {label} is {labels.get(label)!r}; set it to {wanted!r}"


def not_default(resource: Resource) -> Iterator[str]:
    if not resource.kind or not table(resource.props, "metadata"):
        return
    if resource.kind not in _CLUSTER_SCOPED and resource.namespace == "default":
        yield "lives in the namespace default; give it one of the platform's"


RULES: Final = (
    Rule(
        "restricted-namespace",
        "PSS restricted; or nodes' logs are lent.",
        restricted_labels,
    ),
    Rule("no-default-namespace", "Nothing lives in the namespace default.", not_default),
)

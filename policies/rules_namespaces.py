"""Namespaces enforce `restricted`, and nothing lives in `default`."""

from collections.abc import Iterator
from typing import Final

from policies.resources import Resource, table
from policies.rule import Rule

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
    for mode in _MODES:
        label = f"pod-security.kubernetes.io/{mode}"
        if labels.get(label) != "restricted":
            yield f"label {label} is {labels.get(label)!r}; set it to 'restricted'"


def not_default(resource: Resource) -> Iterator[str]:
    if not resource.kind or not table(resource.props, "metadata"):
        return
    if resource.kind not in _CLUSTER_SCOPED and resource.namespace == "default":
        yield "lives in the namespace default; give it one of the platform's"


RULES: Final = (
    Rule("restricted-namespace", "Every namespace enforces PSS restricted.", restricted_labels),
    Rule("no-default-namespace", "Nothing lives in the namespace default.", not_default),
)

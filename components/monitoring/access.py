"""What Prometheus may ask the Kubernetes API: which pods there are, and how nodes are."""

from collections.abc import Mapping, Sequence
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components.kit import objects
from components.kit.args import Text

_WATCH: Final = ("get", "list", "watch")


def watch_pods(
    name: str, namespaces: Mapping[str, Text], account_namespace: Text, parent: pulumi.Resource
) -> None:
    """A Role and its binding in each of the namespaces: pods, and nothing else of them.

    Args:
        name: of the account, and of what is made.
        namespaces: short name to the namespace's name.
        account_namespace: where the account is.
    """
    child = pulumi.ResourceOptions(parent=parent)
    for short, namespace in namespaces.items():
        metadata = objects.metadata(name, namespace, objects.labels(name, "monitoring"))
        k8s.rbac.v1.Role(
            f"{name}-{short}",
            metadata=metadata,
            rules=[_rule(("pods",), _WATCH)],
            opts=child,
        )
        k8s.rbac.v1.RoleBinding(
            f"{name}-{short}",
            metadata=metadata,
            role_ref=_role("Role", name),
            subjects=[_account(name, account_namespace)],
            opts=child,
        )


def read_nodes(name: str, account_namespace: Text, parent: pulumi.Resource) -> None:
    """A ClusterRole and its binding: which nodes there are, and what their kubelets measure.

    Not `nodes/proxy`, which would be as good as a shell in every pod.
    """
    child = pulumi.ResourceOptions(parent=parent)
    full = f"millrace-{name}"
    metadata = k8s.meta.v1.ObjectMetaArgs(name=full, labels=objects.labels(name, "monitoring"))
    k8s.rbac.v1.ClusterRole(
        full,
        metadata=metadata,
        rules=[_rule(("nodes",), _WATCH), _rule(("nodes/metrics",), ("get",))],
        opts=child,
    )
    k8s.rbac.v1.ClusterRoleBinding(
        full,
        metadata=metadata,
        role_ref=_role("ClusterRole", full),
        subjects=[_account(name, account_namespace)],
        opts=child,
    )


def _rule(resources: Sequence[str], verbs: Sequence[str]) -> k8s.rbac.v1.PolicyRuleArgs:
    return k8s.rbac.v1.PolicyRuleArgs(api_groups=[""], resources=list(resources), verbs=list(verbs))


def _role(kind: str, name: str) -> k8s.rbac.v1.RoleRefArgs:
    return k8s.rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind=kind, name=name)


def _account(name: str, namespace: Text) -> k8s.rbac.v1.SubjectArgs:
    return k8s.rbac.v1.SubjectArgs(kind="ServiceAccount", name=name, namespace=namespace)

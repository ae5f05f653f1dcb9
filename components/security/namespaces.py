"""The platform's namespaces, with Pod Security `restricted` enforced but where nodes lend a
folder."""

from typing import Final

import pulumi
import pulumi_kubernetes as k8s
from pydantic import Field, field_validator

from components.kit import objects, pods
from components.kit.args import Args
from components.kit.names import check_label

_RESERVED: Final = ("default", "kube-node-lease", "kube-public", "kube-system")


class NamespacesArgs(Args):
    """Names of the namespaces, and the version of the Pod Security Standards they enforce."""

    names: tuple[str, ...]
    lent: tuple[str, ...] = ()
    """Of those, the ones whose pods may be lent a folder of their node, which `restricted` refuses,
    and `baseline` as well. The policies see that it is the one with logs, and read only."""
    pod_security_version: str = Field(default="v1.36", pattern=r"^v1\.\d+$")
    """Pinned, so that a cluster upgrade cannot refuse pods that ran before it."""

    @field_validator("names")
    @classmethod
    def _ours(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            check_label(name)
            if name in _RESERVED:
                raise ValueError(
                    f"names has {name!r}, which belongs to the cluster: destroying the stack would "
                    "delete it; choose a name of your own"
                )
        return names


class Namespaces(pulumi.ComponentResource):
    """Namespaces whose pods must meet Pod Security `restricted`, those in `lent` excepted.

    Makes: per name a Namespace and its `default` ServiceAccount without a token.
    """

    names: dict[str, pulumi.Output[str]]
    """Name to the name of the existing namespace; use these, so that objects wait for it."""

    def __init__(
        self, name: str, args: NamespacesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:cluster:Namespaces", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.names = {}
        for namespace in args.names:
            made = k8s.core.v1.Namespace(
                namespace,
                metadata=k8s.meta.v1.ObjectMetaArgs(
                    name=namespace,
                    labels={
                        "app.kubernetes.io/name": namespace,
                        "app.kubernetes.io/part-of": "millrace",
                        "app.kubernetes.io/managed-by": "pulumi",
                        **_pod_security(args, namespace),
                    },
                    annotations=_said(args, namespace),
                ),
                opts=child,
            )
            # Every namespace gets this account from the cluster; server-side apply takes it over.
            # A pod that names no account of its own must not get a token by accident. It goes with
            # its namespace: deleted by itself, the cluster makes another at once, and Pulumi may
            # wait in vain to see the name gone.
            account = pods.service_account(
                f"{namespace}-default",
                k8s.meta.v1.ObjectMetaArgs(
                    name="default", namespace=made.metadata.apply(objects.name_of)
                ),
                pulumi.ResourceOptions(parent=self, retain_on_delete=True),
            )
            self.names[namespace] = account.metadata.apply(_namespace_of)
        self.register_outputs({"names": self.names})


def _said(args: NamespacesArgs, namespace: str) -> dict[str, str] | None:
    return {pods.READS_NODE_LOGS: "asked for"} if namespace in args.lent else None


def _pod_security(args: NamespacesArgs, namespace: str) -> dict[str, str]:
    """`warn` and `audit` as well: they name the Deployment, `enforce` only refuses its pods."""
    prefix = "pod-security.kubernetes.io"
    level = "privileged" if namespace in args.lent else "restricted"
    return {
        f"{prefix}/{mode}{suffix}": value
        for mode in ("enforce", "warn", "audit")
        for suffix, value in (("", level), ("-version", args.pod_security_version))
    }


def _namespace_of(metadata: k8s.meta.v1.outputs.ObjectMeta) -> str:
    assert metadata.namespace is not None
    return metadata.namespace

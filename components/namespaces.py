"""The platform's namespaces, with Pod Security `restricted` enforced."""

import pulumi
from pydantic import Field

from components.args import Args


class NamespacesArgs(Args):
    """Names of the namespaces, and the version of the Pod Security Standards they enforce."""

    names: tuple[str, ...]
    pod_security_version: str = Field(default="v1.36", pattern=r"^v1\.\d+$")
    """Pinned, so that a cluster upgrade cannot refuse pods that ran before it."""


class Namespaces(pulumi.ComponentResource):
    """Namespaces whose pods must meet Pod Security `restricted`.

    Makes: per name a Namespace and its `default` ServiceAccount without a token.
    """

    names: dict[str, pulumi.Output[str]]
    """Name to the name of the existing namespace; use these, so that objects wait for it."""

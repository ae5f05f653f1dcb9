"""A volume that no server owns, for pods that come and go."""

import pulumi
import pulumi_kubernetes as k8s

from components.kit import objects
from components.kit.args import Args, Storage, Text
from components.kit.names import check_name


class ClaimArgs(Args):
    """A claim that one host at a time writes to."""

    namespace: Text
    storage: Storage
    component: str = "storage"
    """Label app.kubernetes.io/component."""


class Claim(pulumi.ComponentResource):
    """A claim of its own, kept or removed with the stack as its storage says.

    Makes: PersistentVolumeClaim `<name>`.
    """

    claim_name: pulumi.Output[str]

    def __init__(
        self, name: str, args: ClaimArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:data:Claim", name, None, opts)
        check_name(name)
        made = k8s.core.v1.PersistentVolumeClaim(
            name,
            metadata=objects.metadata(
                name,
                args.namespace,
                objects.labels(name, args.component),
                # Bound only when the first pod asks for it, on many clusters.
                {"pulumi.com/skipAwait": "true"},
            ),
            spec=k8s.core.v1.PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteOnce"],
                storage_class_name=args.storage.storage_class,
                resources=k8s.core.v1.VolumeResourceRequirementsArgs(
                    requests={"storage": args.storage.size}
                ),
            ),
            opts=pulumi.ResourceOptions(
                parent=self, retain_on_delete=args.storage.retention == "Retain"
            ),
        )
        self.claim_name = made.metadata.apply(objects.name_of)
        self.register_outputs({"claim_name": self.claim_name})

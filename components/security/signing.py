"""Keys that sign: made once each, by name, and mounted as a folder whose files are followed."""

from collections.abc import Sequence
from typing import Final, Self

import pulumi
import pulumi_kubernetes as k8s
import pulumi_tls as tls
from pydantic import model_validator

from components.kit import objects
from components.kit.args import Args, Files, Text
from components.kit.names import check_label
from components.security.certificate import encoded

ACTIVE: Final = "active"
"""The file that names the key that signs."""
_FOLLOWED: Final = "followed"


class SigningKeysArgs(Args):
    """Which keys there are and which of them signs."""

    namespace: Text
    secret_name: str
    keys: tuple[str, ...]
    """Names; one that is new is made, one that is gone is deleted with all it could verify."""
    active: str

    @model_validator(mode="after")
    def _usable(self) -> Self:
        check_label(self.secret_name)
        for key in self.keys:
            check_label(key)
        if self.active not in self.keys:
            raise ValueError(
                f"active is {self.active}, which is none of keys, so nothing could be signed; add "
                f"it there, or name one of: {', '.join(self.keys) or 'none'}"
            )
        return self


class SigningKeys(pulumi.ComponentResource):
    """ECDSA keys on P-256 in one Secret: `<name>.pem` (PKCS#8) each, and `active`.

    Makes: a PrivateKey per name, Secret.
    """

    files: Files
    """Of one version always: who mounts them reads them again when they change, and is not rolled
    for it."""

    def __init__(
        self, name: str, args: SigningKeysArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:secrets:SigningKeys", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        made = [
            tls.PrivateKey(f"{name}-{key}", algorithm="ECDSA", ecdsa_curve="P256", opts=child)
            for key in args.keys
        ]
        secret = k8s.core.v1.Secret(
            args.secret_name,
            metadata=objects.metadata(
                args.secret_name, args.namespace, objects.labels(args.secret_name, "secrets")
            ),
            type="Opaque",
            data={**_pem_files(args.keys, made), ACTIVE: encoded(args.active)},
            opts=child,
        )
        self.files = Files(
            kind="Secret",
            name=secret.metadata.apply(objects.name_of),
            version=pulumi.Output.from_input(_FOLLOWED),
        )
        self.register_outputs({"files": self.files.outputs()})


def _pem_files(
    names: Sequence[str], keys: Sequence[tls.PrivateKey]
) -> dict[str, pulumi.Output[str]]:
    return {
        f"{name}.pem": pulumi.Output.secret(key.private_key_pem_pkcs8).apply(encoded)
        for name, key in zip(names, keys, strict=True)
    }

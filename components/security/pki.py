"""The internal certificate authority and the bundle every client verifies servers with."""

from collections.abc import Mapping
from typing import Final, Self

import pulumi
import pulumi_kubernetes as k8s
import pulumi_tls as tls
from pydantic import model_validator

from components.kit import hashing, objects
from components.kit.args import Args, Files, Text

RENEW_BEFORE_DAYS: Final = "millrace.dev/renew-before-days"
"""Annotation of whatever holds a certificate: how many days before its end an update renews it."""


class CertificateAuthorityArgs(Args):
    """Life of the CA and the namespaces that get its bundle. Times in days."""

    namespaces: Mapping[str, Text]
    """Short name to the namespace's name; each gets a ConfigMap with the key `ca.crt`."""
    common_name: str = "Millrace internal CA"
    bundle_name: str = "millrace-ca"
    validity_days: int = 3650
    renew_before_days: int = 400
    """Longer than any leaf lives, so that no leaf outlives its CA."""

    @model_validator(mode="after")
    def _renewal_fits(self) -> Self:
        check_renewal(self.validity_days, self.renew_before_days)
        return self


def check_renewal(validity_days: int, renew_before_days: int) -> None:
    """Raises ValueError when a certificate would expire unrenewed or be renewed on every run."""
    if not 0 < renew_before_days < validity_days:
        raise ValueError(
            f"renew_before_days is {renew_before_days} of validity_days {validity_days}: the "
            "certificate would be renewed on every run, or only after it had expired; choose a "
            "number of days above 0 and below validity_days"
        )


class CertificateAuthority(pulumi.ComponentResource):
    """A self-signed CA (ECDSA P-256) and its bundle in every namespace.

    Makes: PrivateKey, SelfSignedCert, one ConfigMap per namespace.
    """

    certificate_pem: pulumi.Output[str]
    private_key_pem: pulumi.Output[str]
    """Secret."""
    bundles: dict[str, Files]
    """Short namespace name to the ConfigMap with `ca.crt`; mount it at `paths.CA`."""

    def __init__(
        self, name: str, args: CertificateAuthorityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:pki:CertificateAuthority", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        key = tls.PrivateKey(f"{name}-key", algorithm="ECDSA", ecdsa_curve="P256", opts=child)
        certificate = tls.SelfSignedCert(
            name,
            private_key_pem=key.private_key_pem,
            is_ca_certificate=True,
            allowed_uses=["cert_signing", "crl_signing", "digital_signature"],
            subject=tls.SelfSignedCertSubjectArgs(common_name=args.common_name),
            # Python 3.13 and OpenSSL's strict mode refuse a CA without a subject key id.
            set_subject_key_id=True,
            validity_period_hours=args.validity_days * 24,
            early_renewal_hours=args.renew_before_days * 24,
            opts=child,
        )
        self.certificate_pem = certificate.cert_pem
        self.private_key_pem = pulumi.Output.secret(key.private_key_pem)
        self.bundles = {}
        for short, namespace in args.namespaces.items():
            bundle = k8s.core.v1.ConfigMap(
                f"{name}-bundle-{short}",
                metadata=objects.metadata(
                    args.bundle_name,
                    namespace,
                    objects.labels(args.bundle_name, "pki"),
                    {RENEW_BEFORE_DAYS: str(args.renew_before_days)},
                ),
                data={"ca.crt": certificate.cert_pem},
                opts=child,
            )
            self.bundles[short] = Files(
                kind="ConfigMap",
                name=bundle.metadata.apply(objects.name_of),
                version=certificate.cert_pem.apply(hashing.digest),
            )
        self.register_outputs(
            {
                "certificate_pem": self.certificate_pem,
                "private_key_pem": self.private_key_pem,
                "bundles": {short: files.outputs() for short, files in self.bundles.items()},
            }
        )

"""The internal certificate authority and the bundle every client verifies servers with.

Another one takes its place in two phases, so that who verifies and who is verified need not change
at the same moment: first everybody trusts both and the old one signs, then the new one signs, and
only then is the old one trusted no more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Self, TypeAlias

import pulumi
import pulumi_kubernetes as k8s
import pulumi_tls as tls
from pydantic import Field, model_validator

from components.kit import hashing, objects
from components.kit.args import Args, Files, Text

RENEW_BEFORE_DAYS: Final = "millrace.dev/renew-before-days"
"""Annotation of whatever holds a certificate: how many days before its end an update renews it."""


Previous: TypeAlias = Literal["signs", "trusted", "refused"]
"""What the one before is good for: it `signs`, and both are trusted; it is `trusted`, though the
new one signs; it is `refused`, but still known, so that it can be shown to be."""


class CertificateAuthorityArgs(Args):
    """Life of the CA and the namespaces that get its bundle. Times in days."""

    namespaces: Mapping[str, Text]
    """Short name to the namespace's name; each gets a ConfigMap with the key `ca.crt`."""
    common_name: str = "Millrace internal CA"
    bundle_name: str = "millrace-ca"
    validity_days: int = 3650
    renew_before_days: int = 400
    """Longer than any leaf lives, so that no leaf outlives its CA."""
    generation: int = Field(default=1, ge=1)
    """One more than before makes another CA, with a key of its own."""
    previous: Previous | None = None
    """None: there is none."""

    @model_validator(mode="after")
    def _previous_exists(self) -> Self:
        if self.generation == 1 and self.previous is not None:
            raise ValueError(
                f"previous is {self.previous}, but generation is 1, which has none before it; "
                "raise generation by one, or leave previous out"
            )
        return self

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


@dataclass(frozen=True)
class _Generation:
    certificate_pem: pulumi.Output[str]
    private_key_pem: pulumi.Output[str]


class CertificateAuthority(pulumi.ComponentResource):
    """A self-signed CA (ECDSA P-256) and its bundle in every namespace.

    Makes: PrivateKey and SelfSignedCert, of two generations while one takes over from the other;
    one ConfigMap per namespace.
    """

    certificate_pem: pulumi.Output[str]
    """Of the one that signs."""
    private_key_pem: pulumi.Output[str]
    """Secret. Of the one that signs."""
    bundle_pem: pulumi.Output[str]
    """All that are trusted, the older one first."""
    retired_pem: pulumi.Output[str]
    """The one that is refused, as long as it is known; otherwise empty."""
    bundles: dict[str, Files]
    """Short namespace name to the ConfigMap with `ca.crt`; mount it at `paths.CA`. Followed: pods
    read it again for every connection."""
    bundle_version: pulumi.Output[str]
    """For pods that do not: it rolls them, in their config hash."""

    def __init__(
        self, name: str, args: CertificateAuthorityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:pki:CertificateAuthority", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        current = _generation(name, args, args.generation, child)
        before = _generation(name, args, args.generation - 1, child) if args.previous else None
        signing = before if before and args.previous == "signs" else current
        trusted = [before, current] if before and args.previous != "refused" else [current]
        self.certificate_pem = signing.certificate_pem
        self.private_key_pem = pulumi.Output.secret(signing.private_key_pem)
        self.bundle_pem = pulumi.Output.all(*(each.certificate_pem for each in trusted)).apply(
            joined
        )
        self.retired_pem = pulumi.Output.from_input(
            before.certificate_pem if before and before not in trusted else ""
        )
        self.bundle_version = self.bundle_pem.apply(hashing.digest)
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
                data={"ca.crt": self.bundle_pem},
                opts=child,
            )
            self.bundles[short] = Files(
                kind="ConfigMap",
                name=bundle.metadata.apply(objects.name_of),
                version=self.bundle_version,
            ).followed
        self.register_outputs(
            {
                "certificate_pem": self.certificate_pem,
                "private_key_pem": self.private_key_pem,
                "bundle_pem": self.bundle_pem,
                "bundle_version": self.bundle_version,
                "retired_pem": self.retired_pem,
                "bundles": {short: files.outputs() for short, files in self.bundles.items()},
            }
        )


def joined(pems: list[str]) -> str:
    """Several PEM texts as one."""
    return "".join(pem if pem.endswith("\n") else f"{pem}\n" for pem in pems)


def _generation(
    name: str, args: CertificateAuthorityArgs, number: int, child: pulumi.ResourceOptions
) -> _Generation:
    """The first has no number in its names: it is that of platforms that never changed theirs."""
    own = name if number == 1 else f"{name}-{number}"
    # Nor do two share a subject: whoever looks for a certificate's issuer may go by it alone.
    subject = args.common_name if number == 1 else f"{args.common_name} {number}"
    key = tls.PrivateKey(f"{own}-key", algorithm="ECDSA", ecdsa_curve="P256", opts=child)
    certificate = tls.SelfSignedCert(
        own,
        private_key_pem=key.private_key_pem,
        is_ca_certificate=True,
        allowed_uses=["cert_signing", "crl_signing", "digital_signature"],
        subject=tls.SelfSignedCertSubjectArgs(common_name=subject),
        # Python 3.13 and OpenSSL's strict mode refuse a CA without a subject key id.
        set_subject_key_id=True,
        validity_period_hours=args.validity_days * 24,
        early_renewal_hours=args.renew_before_days * 24,
        opts=child,
    )
    return _Generation(certificate.cert_pem, key.private_key_pem)

"""A leaf certificate of the internal CA, as a Secret."""

import base64
from typing import Final, Literal, Self

import pulumi
import pulumi_kubernetes as k8s
import pulumi_tls as tls
from pydantic import model_validator

from components.kit import hashing, objects
from components.kit.args import Args, Files, Text
from components.kit.names import check_label
from components.security.pki import (
    RENEW_BEFORE_DAYS,
    CertificateAuthority,
    check_renewal,
    joined,
)

_USES: Final = {"server": "server_auth", "client": "client_auth"}


class CertificateArgs(Args):
    """Whom the certificate names and what it may be used for. Times in days."""

    authority: CertificateAuthority
    namespace: Text
    secret_name: str
    common_name: str
    dns_names: tuple[str, ...] = ()
    usages: tuple[Literal["server", "client"], ...] = ("server",)
    validity_days: int = 365
    renew_before_days: int = 90
    """The first `pulumi up` in this window renews; so does one that changes who signs."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        check_label(self.secret_name)
        check_renewal(self.validity_days, self.renew_before_days)
        if "server" in self.usages and not self.dns_names:
            raise ValueError(
                "dns_names is empty, but clients check a server's name against them and would all "
                "refuse it; name the Service, or leave 'server' out of usages"
            )
        return self


class Certificate(pulumi.ComponentResource):
    """A key and certificate in one Secret: `tls.crt`, `tls.key` (PKCS#8), `ca.crt`, `keystore.pem`.

    `ca.crt` is the bundle of all CAs that are trusted, `keystore.pem` key and certificate in one
    file, as Kafka wants it.

    Makes: PrivateKey, CertRequest, LocallySignedCert, Secret.
    """

    files: Files
    certificate_pem: pulumi.Output[str]

    def __init__(
        self, name: str, args: CertificateArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:pki:Certificate", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        authority = args.authority
        key = tls.PrivateKey(f"{name}-key", algorithm="ECDSA", ecdsa_curve="P256", opts=child)
        request = tls.CertRequest(
            f"{name}-request",
            private_key_pem=key.private_key_pem,
            subject=tls.CertRequestSubjectArgs(common_name=args.common_name),
            dns_names=list(args.dns_names),
            opts=child,
        )
        signed = tls.LocallySignedCert(
            name,
            cert_request_pem=request.cert_request_pem,
            ca_private_key_pem=authority.private_key_pem,
            ca_cert_pem=authority.certificate_pem,
            allowed_uses=["digital_signature", *(_USES[usage] for usage in args.usages)],
            validity_period_hours=args.validity_days * 24,
            early_renewal_hours=args.renew_before_days * 24,
            opts=child,
        )
        pkcs8 = pulumi.Output.secret(key.private_key_pem_pkcs8)
        keystore = pulumi.Output.all(pkcs8, signed.cert_pem).apply(joined)
        secret = k8s.core.v1.Secret(
            args.secret_name,
            metadata=objects.metadata(
                args.secret_name,
                args.namespace,
                objects.labels(args.secret_name, "pki"),
                {RENEW_BEFORE_DAYS: str(args.renew_before_days)},
            ),
            type="kubernetes.io/tls",
            data={
                "tls.crt": signed.cert_pem.apply(encoded),
                "tls.key": pkcs8.apply(encoded),
                "ca.crt": authority.bundle_pem.apply(encoded),
                "keystore.pem": keystore.apply(encoded),
            },
            opts=child,
        )
        self.certificate_pem = signed.cert_pem
        self.files = Files(
            kind="Secret",
            name=secret.metadata.apply(objects.name_of),
            # Certificates are public; a new key always comes with a new certificate.
            version=pulumi.Output.unsecret(
                pulumi.Output.all(signed.cert_pem, authority.bundle_pem)
            ).apply(lambda pems: hashing.digest("".join(pems))),
        )
        self.register_outputs(
            {"files": self.files.outputs(), "certificate_pem": self.certificate_pem}
        )


def encoded(text: str) -> str:
    """The value of a key in a Secret's `data`."""
    return base64.b64encode(text.encode()).decode()

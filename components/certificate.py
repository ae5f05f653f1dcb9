"""A leaf certificate of the internal CA, as a Secret."""

from typing import Literal

import pulumi

from components.args import Args, Files, Text
from components.pki import CertificateAuthority


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
    """The first `pulumi up` in this window renews, and the pods that mount it roll."""


class Certificate(pulumi.ComponentResource):
    """A key and certificate in one Secret: `tls.crt`, `tls.key` (PKCS#8), `ca.crt`, `keystore.pem`.

    Makes: PrivateKey, CertRequest, LocallySignedCert, Secret.
    """

    files: Files
    certificate_pem: pulumi.Output[str]

"""The internal certificate authority and the bundle every client verifies servers with."""

from collections.abc import Mapping
from typing import Self

import pulumi
from pydantic import model_validator

from components.args import Args, Files, Text


class CertificateAuthorityArgs(Args):
    """Life of the CA and the namespaces that get its bundle. Times in days."""

    namespaces: Mapping[str, Text]
    """Short name to the namespace's name; each gets a ConfigMap with the key `ca.crt`."""
    common_name: str = "Millrace internal CA"
    bundle_name: str = "millrace-ca"
    validity_days: int = 3650
    renew_before_days: int = 365


class CertificateAuthority(pulumi.ComponentResource):
    """A self-signed CA (ECDSA P-256) and its bundle in every namespace.

    Makes: PrivateKey, SelfSignedCert, one ConfigMap per namespace.
    """

    certificate_pem: pulumi.Output[str]
    private_key_pem: pulumi.Output[str]
    """Secret."""
    bundles: dict[str, Files]
    """Short namespace name to the ConfigMap with `ca.crt`; mount it at /etc/millrace/ca."""

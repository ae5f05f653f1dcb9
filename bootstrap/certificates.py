"""How long the platform's certificates still last, and whether an update would renew them."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509

from bootstrap.kube import Kube

OURS: Final = "app.kubernetes.io/part-of=millrace"
RENEW_BEFORE_DAYS: Final = "millrace.dev/renew-before-days"
"""The annotation that components/security/pki.py puts on whatever holds a certificate."""
# The certificate alone: a Secret's private key has no business in this process.
_ROW: Final = (
    "jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} "
    '{.metadata.annotations.millrace\\.dev/renew-before-days} {.data.tls\\.crt}{"\\n"}{end}'
)


@dataclass(frozen=True)
class Certificate:
    """One certificate of the platform. Times in days."""

    name: str
    """`namespace/name` of the Secret or ConfigMap that holds it."""
    left: int
    renew_before: int

    @property
    def due(self) -> bool:
        """Whether the next update renews it, or should have."""
        return self.left < self.renew_before


def certificates(kube: Kube, now: datetime | None = None) -> list[Certificate]:
    """The servers' and clients' certificates and the CA's, the first to end first.

    Raises:
        KubeError: the cluster could not be asked.
    """
    at = now or datetime.now(UTC)
    found = [*_leaves(kube, at), *_bundles(kube, at)]
    return sorted(found, key=lambda certificate: (certificate.left, certificate.name))


def _leaves(kube: Kube, at: datetime) -> Iterator[Certificate]:
    where = ("--all-namespaces", "-l", OURS, "--field-selector", "type=kubernetes.io/tls")
    for row in kube.run("get", "secrets", *where, "-o", _ROW).splitlines():
        name, renew_before, encoded = row.split(" ")
        yield _certificate(name, base64.b64decode(encoded), renew_before, at)


def _bundles(kube: Kube, at: datetime) -> Iterator[Certificate]:
    for item in kube.json("get", "configmaps", "--all-namespaces", "-l", OURS)["items"]:
        metadata = item["metadata"]
        if renew_before := metadata.get("annotations", {}).get(RENEW_BEFORE_DAYS):
            name = f"{metadata['namespace']}/{metadata['name']}"
            yield _certificate(name, item["data"]["ca.crt"].encode(), renew_before, at)


def _certificate(name: str, pem: bytes, renew_before: str, at: datetime) -> Certificate:
    # A bundle has two while one CA takes over from another.
    end = min(one.not_valid_after_utc for one in x509.load_pem_x509_certificates(pem))
    # A platform made before there was an annotation: nothing is known but the end itself.
    return Certificate(name, (end - at).days, int(renew_before or 0))

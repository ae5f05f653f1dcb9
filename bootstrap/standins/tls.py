"""Stand-in for the TLS provider (``pulumi-resource-tls``).

Everything lives in the state: a certificate is replaced when what went into it changes, or
when its early renewal is due at the next preview or update.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from bootstrap.standins import tls_certificates as certificates
from bootstrap.standins import tls_keys as keys
from bootstrap.standins.kinds import (
    Change,
    Failure,
    Job,
    Kind,
    Properties,
    Property,
    Shape,
    StandinError,
)
from bootstrap.standins.provider import Provider, engine_address, run
from bootstrap.standins.values import Unknown, has_unknown


def _write_only(name: str) -> Mapping[str, Property]:
    """Write-only twins of a key property: the official provider has them, this one has not."""
    refusal = (
        f"{name}Wo is not served by Millrace's stand-in for the TLS provider: use {name} (it is "
        "kept as a secret), or put the official pulumi-resource-tls on PATH"
    )
    return {
        f"{name}Wo": Property(Shape.STRING, refusal=refusal),
        f"{name}WoVersion": Property(Shape.INTEGER, refusal=refusal),
    }


_NAMES: Mapping[str, Property] = {
    "subject": Property(Shape.OBJECT),
    "dnsNames": Property(Shape.ARRAY),
    "ipAddresses": Property(Shape.ARRAY),
    "uris": Property(Shape.ARRAY),
}
_CERTIFICATE: Mapping[str, Property] = {
    "allowedUses": Property(Shape.ARRAY, required=True),
    "validityPeriodHours": Property(Shape.INTEGER, required=True),
    "earlyRenewalHours": Property(Shape.INTEGER, default=0, change=Change.UPDATE),
    "isCaCertificate": Property(Shape.BOOLEAN, default=False),
    "maxPathLength": Property(Shape.INTEGER, default=-1),
    "setSubjectKeyId": Property(Shape.BOOLEAN, default=False),
}


class PrivateKey(Kind):
    """A key pair."""

    token = "tls:index/privateKey:PrivateKey"  # noqa: S105
    inputs: Mapping[str, Property] = {
        "algorithm": Property(Shape.STRING, required=True),
        "ecdsaCurve": Property(Shape.STRING, default="P224"),
        "rsaBits": Property(Shape.INTEGER, default=2048),
    }
    computed = (
        "privateKeyPem",
        "privateKeyPemPkcs8",
        "privateKeyOpenssh",
        "publicKeyPem",
        "publicKeyOpenssh",
        "publicKeyFingerprintMd5",
        "publicKeyFingerprintSha256",
    )
    secrets = frozenset(computed[:3])

    def check(self, inputs: Properties) -> list[Failure]:
        failures: list[Failure] = []
        for name, allowed in (("algorithm", keys.ALGORITHMS), ("ecdsaCurve", keys.CURVES)):
            value = inputs[name]
            if not isinstance(value, Unknown) and value not in allowed:
                failures.append(Failure(name, f"{name} is {value!r}; use {', '.join(allowed)}"))
        bits = inputs["rsaBits"]
        if isinstance(bits, int) and not 1024 <= bits <= 16384:
            failures.append(Failure("rsaBits", f"rsaBits is {bits}; use 2048, 3072 or 4096"))
        return failures

    def create(self, inputs: Properties, job: Job) -> tuple[str, Properties]:
        inputs = self.defaults() | inputs
        key = keys.make_key(inputs["algorithm"], inputs["rsaBits"], inputs["ecdsaCurve"])
        public = keys.public_der(key.public_key())
        return hashlib.sha1(public, usedforsecurity=False).hexdigest(), keys.spellings(key)


class _Certificate(Kind):
    """What the two kinds of certificate share: uses, validity, renewal."""

    def check(self, inputs: Properties) -> list[Failure]:
        failures = _check_names(inputs)
        uses: Any = inputs["allowedUses"]
        known = sorted((*certificates.KEY_USES, *certificates.EXTENDED_USES))
        if not has_unknown(uses):
            failures += [
                Failure("allowedUses", f"allowedUses holds {use!r}; it takes {', '.join(known)}")
                for use in uses
                if use not in known
            ]
        hours, early = inputs["validityPeriodHours"], inputs["earlyRenewalHours"]
        for name, value in (("validityPeriodHours", hours), ("earlyRenewalHours", early)):
            if isinstance(value, int) and value < 0:
                failures.append(Failure(name, f"{name} is {value}; it cannot be negative"))
        return failures

    def further_changes(self, state: Properties, inputs: Properties) -> dict[str, Change]:
        early = inputs.get("earlyRenewalHours") or 0
        if isinstance(early, int) and certificates.due(state, early):
            return {"readyForRenewal": Change.REPLACE}
        return {}

    def update_changes(self, state: Properties, inputs: Properties) -> set[str]:
        return {"readyForRenewal"}

    def update(self, identity: str, state: Properties, inputs: Properties, job: Job) -> Properties:
        kept = super().update(identity, state, inputs, job)
        return self._with_renewal(kept, inputs)

    def read(self, identity: str, state: Properties, job: Job) -> Properties | None:
        return self._with_renewal(state, state)

    def _made(self, made: x509.Certificate, inputs: Properties) -> tuple[str, Properties]:
        outputs = {"certPem": certificates.pem(made), **certificates.validity(made)}
        return str(made.serial_number), self._with_renewal(outputs, inputs)

    def _with_renewal(self, state: Properties, inputs: Properties) -> Properties:
        early: int = inputs.get("earlyRenewalHours") or 0
        return state | {"readyForRenewal": certificates.due(state, early)}


class SelfSignedCert(_Certificate):
    """A certificate signed with its own key, such as a root."""

    token = "tls:index/selfSignedCert:SelfSignedCert"  # noqa: S105
    inputs: Mapping[str, Property] = {
        **_CERTIFICATE,
        **_NAMES,
        "privateKeyPem": Property(Shape.STRING, required=True),
        **_write_only("privateKeyPem"),
        "setAuthorityKeyId": Property(Shape.BOOLEAN, default=False),
    }
    computed = (
        "certPem",
        "keyAlgorithm",
        "readyForRenewal",
        "validityEndTime",
        "validityStartTime",
    )
    secrets = frozenset({"privateKeyPem"})

    def create(self, inputs: Properties, job: Job) -> tuple[str, Properties]:
        key = keys.read_key(inputs["privateKeyPem"], "privateKeyPem")
        made = certificates.certificate(
            self.defaults() | inputs,
            subject=certificates.subject_name(inputs.get("subject")),
            names=certificates.alternative_names(inputs),
            public=key.public_key(),
            signer=key,
            issuer=None,
        )
        identity, outputs = self._made(made, inputs)
        return identity, outputs | {"keyAlgorithm": keys.algorithm_of(key)}


class LocallySignedCert(_Certificate):
    """A certificate for a request, signed by an authority whose key is at hand."""

    token = "tls:index/locallySignedCert:LocallySignedCert"  # noqa: S105
    inputs: Mapping[str, Property] = {
        **_CERTIFICATE,
        "caCertPem": Property(Shape.STRING, required=True),
        "caPrivateKeyPem": Property(Shape.STRING, required=True),
        **_write_only("caPrivateKeyPem"),
        "certRequestPem": Property(Shape.STRING, required=True),
    }
    computed = (
        "certPem",
        "caKeyAlgorithm",
        "readyForRenewal",
        "validityEndTime",
        "validityStartTime",
    )
    secrets = frozenset({"caPrivateKeyPem"})

    def create(self, inputs: Properties, job: Job) -> tuple[str, Properties]:
        key = keys.read_key(inputs["caPrivateKeyPem"], "caPrivateKeyPem")
        issuer: x509.Certificate = _read("caCertPem", inputs, x509.load_pem_x509_certificate)
        request: x509.CertificateSigningRequest = _read(
            "certRequestPem", inputs, x509.load_pem_x509_csr
        )
        if keys.public_der(key.public_key()) != keys.public_der(issuer.public_key()):
            raise StandinError(
                "caPrivateKeyPem does not belong to caCertPem: give the key the authority's "
                "certificate was made with"
            )
        if not request.is_signature_valid:
            raise StandinError("certRequestPem is not signed with the key it is for")
        public = request.public_key()
        if not isinstance(public, keys.PublicKey):
            raise StandinError(
                f"certRequestPem is for a {type(public).__name__}; use {', '.join(keys.ALGORITHMS)}"
            )
        made = certificates.certificate(
            self.defaults() | inputs,
            subject=request.subject,
            names=_requested_names(request),
            public=public,
            signer=key,
            issuer=issuer,
        )
        identity, outputs = self._made(made, inputs)
        return identity, outputs | {"caKeyAlgorithm": keys.algorithm_of(key)}


class CertRequest(Kind):
    """A request for a certificate."""

    token = "tls:index/certRequest:CertRequest"  # noqa: S105
    inputs: Mapping[str, Property] = {
        **_NAMES,
        "privateKeyPem": Property(Shape.STRING, required=True),
        **_write_only("privateKeyPem"),
    }
    computed = ("certRequestPem", "keyAlgorithm")
    secrets = frozenset({"privateKeyPem"})

    def check(self, inputs: Properties) -> list[Failure]:
        return _check_names(inputs)

    def create(self, inputs: Properties, job: Job) -> tuple[str, Properties]:
        key = keys.read_key(inputs["privateKeyPem"], "privateKeyPem")
        made = certificates.signing_request(
            certificates.subject_name(inputs.get("subject")),
            certificates.alternative_names(inputs),
            key,
        )
        der = made.public_bytes(Encoding.DER)
        return hashlib.sha1(der, usedforsecurity=False).hexdigest(), {
            "certRequestPem": certificates.pem(made),
            "keyAlgorithm": keys.algorithm_of(key),
        }


def _check_names(inputs: Properties) -> list[Failure]:
    given: Any = inputs.get("subject")
    if given is None or isinstance(given, Unknown):
        given = {}
    failures = [
        Failure(f"subject.{name}", f"subject has no {name}; it takes "
                f"{', '.join(sorted(certificates.SUBJECT))}")
        for name in given
        if name not in certificates.SUBJECT
    ]  # fmt: skip
    known = {name: value for name, value in inputs.items() if not has_unknown(value)}
    try:
        certificates.subject_name(known.get("subject"))
    except StandinError as error:
        failures.append(Failure("subject", str(error)))
    for name in ("dnsNames", "ipAddresses", "uris"):
        try:
            certificates.alternative_names({name: known.get(name)})
        except StandinError as error:
            failures.append(Failure(name, f"{name}: {error}"))
    return failures


def _read(name: str, inputs: Properties, load: Any) -> Any:
    try:
        return load(inputs[name].encode())
    except ValueError as error:
        raise StandinError(f"{name} is not usable PEM: {error}") from error


def _requested_names(request: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    try:
        found = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return list(found.value)


KINDS = (PrivateKey, SelfSignedCert, CertRequest, LocallySignedCert)


def main() -> None:
    """Serve until the engine is done."""
    run(Provider("tls", [kind() for kind in KINDS], engine_address()))


if __name__ == "__main__":
    main()

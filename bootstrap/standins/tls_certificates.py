"""Certificates for the TLS stand-in: what the properties say, as X.509."""

import datetime as dt
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from bootstrap.standins.kinds import Properties, StandinError
from bootstrap.standins.tls_keys import PrivateKey, PublicKey, signature_hash

# Property of `subject` to attribute, in the order in which a name lists them.
SUBJECT: Mapping[str, ObjectIdentifier] = {
    "country": NameOID.COUNTRY_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "locality": NameOID.LOCALITY_NAME,
    "province": NameOID.STATE_OR_PROVINCE_NAME,
    "streetAddresses": NameOID.STREET_ADDRESS,
    "postalCode": NameOID.POSTAL_CODE,
    "commonName": NameOID.COMMON_NAME,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "emailAddress": NameOID.EMAIL_ADDRESS,
}
# Names of `allowed_uses` that are key usages, and those that are extended ones.
KEY_USES: Mapping[str, str] = {
    "cert_signing": "key_cert_sign",
    "content_commitment": "content_commitment",
    "crl_signing": "crl_sign",
    "data_encipherment": "data_encipherment",
    "decipher_only": "decipher_only",
    "digital_signature": "digital_signature",
    "encipher_only": "encipher_only",
    "key_agreement": "key_agreement",
    "key_encipherment": "key_encipherment",
}
EXTENDED_USES: Mapping[str, ObjectIdentifier] = {
    "any_extended": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "client_auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code_signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email_protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "ipsec_end_system": ObjectIdentifier("1.3.6.1.5.5.7.3.5"),
    "ipsec_tunnel": ObjectIdentifier("1.3.6.1.5.5.7.3.6"),
    "ipsec_user": ObjectIdentifier("1.3.6.1.5.5.7.3.7"),
    "microsoft_commercial_code_signing": ObjectIdentifier("1.3.6.1.4.1.311.2.1.22"),
    "microsoft_kernel_code_signing": ObjectIdentifier("1.3.6.1.4.1.311.61.1.1"),
    "microsoft_server_gated_crypto": ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"),
    "netscape_server_gated_crypto": ObjectIdentifier("2.16.840.1.113730.4.1"),
    "ocsp_signing": ExtendedKeyUsageOID.OCSP_SIGNING,
    "server_auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
}


def subject_name(subject: Mapping[str, Any] | None) -> x509.Name:
    """The distinguished name that the ``subject`` property describes."""
    attributes: list[x509.NameAttribute[str]] = []
    for name, identifier in SUBJECT.items():
        value: Any = (subject or {}).get(name) or []
        texts: Sequence[str] = [value] if isinstance(value, str) else value
        try:
            attributes += [x509.NameAttribute(identifier, text) for text in texts]
        except (ValueError, TypeError) as error:
            raise StandinError(f"subject.{name} is {value!r}: {error}") from error
    return x509.Name(attributes)


def alternative_names(inputs: Properties) -> list[x509.GeneralName]:
    """``dnsNames``, ``ipAddresses`` and ``uris`` in this order."""
    names: list[x509.GeneralName] = []
    name = ""
    try:
        for name in inputs.get("dnsNames") or ():
            names.append(x509.DNSName(name))
        for name in inputs.get("ipAddresses") or ():
            names.append(x509.IPAddress(ipaddress.ip_address(name)))
        for name in inputs.get("uris") or ():
            names.append(x509.UniformResourceIdentifier(name))
    except (ValueError, TypeError) as error:
        raise StandinError(f"the alternative name {name!r} cannot be used: {error}") from error
    return names


def certificate(
    inputs: Properties,
    *,
    subject: x509.Name,
    names: Sequence[x509.GeneralName],
    public: PublicKey,
    signer: PrivateKey,
    issuer: x509.Certificate | None,
) -> x509.Certificate:
    """A certificate for ``public``, signed by ``issuer`` or, without one, by itself."""
    start = dt.datetime.now(dt.UTC).replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(hours=inputs["validityPeriodHours"]))
    )
    authority = bool(inputs.get("isCaCertificate"))
    length: int = inputs.get("maxPathLength", -1)
    limit = length if authority and length >= 0 else None
    builder = builder.add_extension(x509.BasicConstraints(authority, limit), critical=True)
    builder = _with_uses(builder, inputs["allowedUses"])
    own = x509.SubjectKeyIdentifier.from_public_key(public)
    if authority or inputs.get("setSubjectKeyId"):
        builder = builder.add_extension(own, critical=False)
    above = _issuers_key(issuer) if issuer else own if inputs.get("setAuthorityKeyId") else None
    if above is not None:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above)
        builder = builder.add_extension(identifier, critical=False)
    if names:
        # Without a subject the alternative names are all there is to identify the holder.
        critical = not subject.rdns
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=critical)
    return builder.sign(signer, signature_hash(signer))


def _with_uses(builder: x509.CertificateBuilder, allowed: Sequence[str]) -> x509.CertificateBuilder:
    plain = {attribute: name in allowed for name, attribute in KEY_USES.items()}
    if any(plain.values()):
        # These two only mean something together with key agreement.
        agreed = plain["key_agreement"]
        plain["encipher_only"] &= agreed
        plain["decipher_only"] &= agreed
        builder = builder.add_extension(x509.KeyUsage(**plain), critical=True)
    extended = [EXTENDED_USES[name] for name in allowed if name in EXTENDED_USES]
    if extended:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    return builder


def _issuers_key(issuer: x509.Certificate) -> x509.SubjectKeyIdentifier | None:
    try:
        return issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return None


def signing_request(
    subject: x509.Name, names: Sequence[x509.GeneralName], key: PrivateKey
) -> x509.CertificateSigningRequest:
    """A request for a certificate, signed with the key it is for."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName(names), critical=not subject.rdns
        )
    return builder.sign(key, signature_hash(key))


def validity(made: x509.Certificate) -> dict[str, str]:
    """``validityStartTime`` and ``validityEndTime`` (RFC 3339)."""
    return {
        "validityStartTime": made.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "validityEndTime": made.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def pem(made: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """PEM text."""
    return made.public_bytes(Encoding.PEM).decode()


def due(state: Properties, early_hours: int, now: dt.datetime | None = None) -> bool:
    """Whether a certificate is to be renewed: it ends within ``early_hours``."""
    end = state.get("validityEndTime")
    if not isinstance(end, str):
        return False
    limit = dt.datetime.fromisoformat(end) - dt.timedelta(hours=early_hours)
    return (now or dt.datetime.now(dt.UTC)) >= limit

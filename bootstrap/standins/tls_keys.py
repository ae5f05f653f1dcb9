"""Private keys for the TLS stand-in: making, reading and spelling them."""

import base64
import hashlib
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from bootstrap.standins.kinds import StandinError

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

ALGORITHMS = ("ECDSA", "ED25519", "RSA")
CURVES: dict[str, type[ec.EllipticCurve]] = {
    "P224": ec.SECP224R1,
    "P256": ec.SECP256R1,
    "P384": ec.SECP384R1,
    "P521": ec.SECP521R1,
}
_PEM = serialization.Encoding.PEM
_OPEN = serialization.NoEncryption()


def make_key(algorithm: str, rsa_bits: int, curve: str) -> PrivateKey:
    """A new key; ``rsa_bits`` and ``curve`` count for their own algorithm only."""
    if algorithm == "RSA":
        return rsa.generate_private_key(65537, rsa_bits)
    if algorithm == "ECDSA":
        return ec.generate_private_key(CURVES[curve]())
    return ed25519.Ed25519PrivateKey.generate()


def read_key(pem: str, name: str) -> PrivateKey:
    """The key in ``pem``.

    Raises:
        StandinError: it is none; names the property it came from.
    """
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise StandinError(
            f"{name} holds no usable private key ({error}): give an unencrypted PEM key, for "
            "example the private_key_pem of a tls.PrivateKey"
        ) from error
    if not isinstance(key, PrivateKey):
        raise StandinError(f"{name} is a {type(key).__name__}; use {', '.join(ALGORITHMS)}")
    return key


def algorithm_of(key: PrivateKey) -> str:
    """``RSA``, ``ECDSA`` or ``ED25519``."""
    if isinstance(key, rsa.RSAPrivateKey):
        return "RSA"
    return "ECDSA" if isinstance(key, ec.EllipticCurvePrivateKey) else "ED25519"


def signature_hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
    """The hash a signature with ``key`` takes: as strong as the curve, none for Ed25519."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if key.curve.key_size > 384:
            return hashes.SHA512()
        if key.curve.key_size > 256:
            return hashes.SHA384()
    return hashes.SHA256()


def public_der(key: CertificatePublicKeyTypes) -> bytes:
    """SubjectPublicKeyInfo."""
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def spellings(key: PrivateKey) -> dict[str, Any]:
    """Every output of a tls.PrivateKey. OpenSSH knows no P224: empty there."""
    traditional = (
        serialization.PrivateFormat.PKCS8
        if isinstance(key, ed25519.Ed25519PrivateKey)
        else serialization.PrivateFormat.TraditionalOpenSSL
    )
    public = key.public_key()
    ssh_private = ssh_public = md5 = sha256 = ""
    if not (isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp224r1"):
        ssh_private = key.private_bytes(_PEM, serialization.PrivateFormat.OpenSSH, _OPEN).decode()
        line = public.public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        ).decode()
        ssh_public = line + "\n"
        blob = base64.b64decode(line.split()[1])
        md5 = hashlib.md5(blob, usedforsecurity=False).digest().hex(":")
        digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
        sha256 = f"SHA256:{digest}"
    return {
        "privateKeyPem": key.private_bytes(_PEM, traditional, _OPEN).decode(),
        "privateKeyPemPkcs8": key.private_bytes(
            _PEM, serialization.PrivateFormat.PKCS8, _OPEN
        ).decode(),
        "privateKeyOpenssh": ssh_private,
        "publicKeyPem": public.public_bytes(
            _PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode(),
        "publicKeyOpenssh": ssh_public,
        "publicKeyFingerprintMd5": md5,
        "publicKeyFingerprintSha256": sha256,
    }

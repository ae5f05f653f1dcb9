"""Secrets stay where they belong: not in a log, a ConfigMap, a pod's spec or plain state."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from tests.e2e.cluster import NAMESPACES

CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
PRIVATE_KEY = re.compile(rb"-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----", re.DOTALL)
CERTIFICATES = {"ca.crt", "tls.crt"}  # meant to be read by everyone
BESIDE = {"username", "mechanism", "active"}
"""What changes together with a secret, and so is in its Secret: no secret itself."""
SHORTEST = 12  # shorter values would match by accident; a test below sees that none is that short


def values_of_secrets(kube: Kube) -> dict[str, bytes]:
    """``namespace/name:key`` to the value, what is none left out."""
    return {
        f"{namespace}/{secret['metadata']['name']}:{key}": base64.b64decode(value)
        for namespace in NAMESPACES
        for secret in kube.items("secrets", namespace)
        for key, value in secret.get("data", {}).items()
        if key not in CERTIFICATES | BESIDE
    }


def needles(value: bytes) -> Iterator[bytes]:
    """The forms in which a value could leak: each line of it, and the base64 of the whole.

    Lines, because JSON and YAML write line ends in their own ways; a PEM's first and last line
    say nothing, and a key store's certificates are public. So is the half of a private key that
    its certificate shows, in the same letters where both are broken into lines at the same byte.
    """
    secret = CERTIFICATE.sub(b"", value)
    public = b"".join(public_half(pem) for pem in PRIVATE_KEY.findall(secret))
    for line in secret.splitlines():
        if len(line) >= SHORTEST and not line.startswith(b"-----"):
            if public and base64.b64decode(line) in public:
                continue
            yield line
    yield base64.b64encode(value)


def public_half(pem: bytes) -> bytes:
    key = serialization.load_pem_private_key(pem, password=None)
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.fixture(scope="module")
def hidden(kube: Kube) -> dict[bytes, str]:
    """What must not be found, with whose it is."""
    values = values_of_secrets(kube)
    assert len(values) >= 6, f"only {sorted(values)}: are the passwords not in Secrets?"
    return {needle: name for name, value in values.items() for needle in needles(value)}


def leaks(hidden: dict[bytes, str], text: bytes) -> set[str]:
    return {name for needle, name in hidden.items() if needle in text}


def test_the_search_would_find_a_leak(hidden: dict[bytes, str]) -> None:
    needle, name = next(iter(hidden.items()))
    assert leaks(hidden, b'{"password": "' + needle + b'"}') == {name}


def test_every_password_is_long(kube: Kube) -> None:
    short = [
        name
        for name, value in values_of_secrets(kube).items()
        if name.endswith(":password") and len(value.strip()) < 24
    ]
    assert short == []


def test_no_log_of_any_container_holds_a_secret(kube: Kube, hidden: dict[bytes, str]) -> None:
    found: list[str] = []
    for namespace in NAMESPACES:
        for pod in kube.items("pods", namespace):
            name = pod["metadata"]["name"]
            for status in pod["status"].get("containerStatuses", []):
                where = ("logs", name, "-n", namespace, "-c", status["name"])
                texts = [kube.run(*where)]
                if status["restartCount"]:
                    texts.append(kube.run(*where, "--previous"))
                found += [
                    f"{leak} in the log of {name}"
                    for text in texts
                    for leak in leaks(hidden, text.encode())
                ]
    assert found == []


@pytest.mark.parametrize("kind", ["configmaps", "pods,deployments,statefulsets,jobs", "events"])
def test_no_other_object_holds_a_secret(kube: Kube, hidden: dict[bytes, str], kind: str) -> None:
    found = [
        f"{leak} in {item['kind']} {item['metadata']['name']}"
        for namespace in NAMESPACES
        for item in kube.items(kind, namespace)
        for leak in leaks(hidden, json.dumps(item).encode())
    ]
    assert found == []


def test_no_file_of_the_checkouts_state_holds_a_secret_in_plain(
    checkout: Checkout, hidden: dict[bytes, str]
) -> None:
    files = [
        path
        for folder in (checkout.state / "state", checkout.logs)
        for path in folder.rglob("*")
        if path.is_file()
    ]
    assert any("stacks" in path.parts for path in files)
    found = [f"{leak} in {path}" for path in files for leak in leaks(hidden, path.read_bytes())]
    assert found == []


def test_only_their_owner_can_open_the_state_and_the_passphrase(checkout: Checkout) -> None:
    assert checkout.state.stat().st_mode & 0o077 == 0
    assert checkout.passphrase_file.stat().st_mode & 0o077 == 0
    assert Path(checkout.kubeconfig).stat().st_mode & 0o077 == 0

"""Secrets stay where they belong: not in a log, a ConfigMap, a pod's spec or plain state."""

import base64
import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests import tokens, traffic
from tests.e2e.cluster import NAMESPACES

CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
PRIVATE_KEY = re.compile(rb"-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----", re.DOTALL)
CERTIFICATES = {"ca.crt", "tls.crt"}  # meant to be read by everyone
BESIDE = {"username", "mechanism", "active"}
"""What changes together with a secret, and so is in its Secret: no secret itself."""
LOGINS = {"postgres_exporter.yml", "my.cnf", "passwords.json"}
"""Files with passwords that Secrets of their own hold, too; what stands around them is known to
all."""
PUBLIC = {"web.yml"}
"""Beside such a file: which certificate is presented."""
PLANTED = f"planted-{secrets.token_hex(6)}"
"""What the requests with planted secrets are called."""
SHORTEST = 12  # shorter values would match by accident; a test below sees that none is that short


def values_of_secrets(kube: Kube) -> dict[str, bytes]:
    """``namespace/name:key`` to the value, what is none left out."""
    return {
        f"{namespace}/{secret['metadata']['name']}:{key}": base64.b64decode(value)
        for namespace in NAMESPACES
        for secret in kube.items("secrets", namespace)
        for key, value in secret.get("data", {}).items()
        if key not in CERTIFICATES | BESIDE | PUBLIC
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
    return {
        needle: name
        for name, value in values.items()
        for needle in ([base64.b64encode(value)] if is_logins(name) else needles(value))
    }


def is_logins(name: str) -> bool:
    return name.rpartition(":")[2] in LOGINS


@pytest.fixture(scope="module")
def planted(
    checkout: Checkout, http: httpx.Client, registered: tokens.Tokens, hidden: dict[bytes, str]
) -> dict[bytes, str]:
    """What clients have sent that is to be seen by nobody, and how; where a mistake may send it,
    too. The requests of a test of its own, and the token that all tests show."""
    password = next(
        needle
        for needle, name in hidden.items()
        if "postgres" in name and name.endswith(":password")
    )
    sent = {
        how: secrets.token_urlsafe(32)
        for how in ("a login", "a login's form", "a bearer", "a query", "a refused body")
    }
    names = {"x-correlation-id": PLANTED}
    asked = {"grant_type": "client_credentials"}
    with httpx.Client(base_url=traffic.base_url(checkout, "auth"), trust_env=False) as auth:
        for secret in (sent["a login"], password.decode()):
            answer = auth.post("/oauth/token", auth=("e2e-planted", secret), data=asked,
                               headers=names)  # fmt: skip
            assert answer.status_code == 401, answer.text
        form = asked | {"client_id": "e2e-planted", "client_secret": sent["a login's form"]}
        assert auth.post("/oauth/token", data=form, headers=names).status_code == 401
    for secret in (sent["a bearer"], password.decode()):
        shown = names | {"Authorization": f"Bearer {secret}"}
        assert http.get(traffic.RESOURCES, headers=shown).status_code == 401
    http.get(traffic.RESOURCES, params={"password": sent["a query"]}, headers=names)
    body = {"name": "", "password": sent["a refused body"]}
    assert http.post(traffic.RESOURCES, json=body, headers=names).status_code == 422
    token = registered.header().removeprefix("Bearer ")
    shown = {"the tests' token": token, "the tests' secret": registered.secret}
    return {secret.encode(): how for how, secret in (sent | shown).items()}


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


def test_the_passwords_in_files_of_logins_are_looked_for_as_what_they_are(kube: Kube) -> None:
    values = values_of_secrets(kube)
    files = {name: value for name, value in values.items() if is_logins(name)}
    assert {name.rpartition(":")[2] for name in files} == LOGINS
    of_exporters = {
        name: value for name, value in values.items() if name.endswith("-exporter:password")
    }
    held = b"\n".join(files.values())
    assert [name for name, value in of_exporters.items() if value.strip() not in held] == []
    assert len(of_exporters) == held.count(b"password=") + sum(
        len(json.loads(text)["auth_modules"] if name.endswith("yml") else json.loads(text))
        for name, text in files.items()
        if not name.endswith("my.cnf")
    )


def test_no_log_of_any_container_holds_a_secret(
    kube: Kube, hidden: dict[bytes, str], planted: dict[bytes, str]
) -> None:
    found: list[str] = []
    named = 0
    for namespace in NAMESPACES:
        for pod in kube.items("pods", namespace):
            name, states = pod["metadata"]["name"], pod["status"]
            of_init = states.get("initContainerStatuses", [])
            for status in [*of_init, *states.get("containerStatuses", [])]:
                where = ("logs", name, "-n", namespace, "-c", status["name"])
                texts = [kube.run(*where)]
                if status["restartCount"]:
                    texts.append(kube.run(*where, "--previous"))
                named += sum(text.count(PLANTED) for text in texts)
                found += [
                    f"{leak} in the log of {name}"
                    for text in texts
                    for leak in leaks(hidden | planted, text.encode())
                ]
    assert found == []
    assert named >= 6, "what was planted was not even noticed, so nothing could have leaked"


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

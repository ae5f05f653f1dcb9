"""Secrets are mounted as files, and every hop is encrypted."""

import re
from collections.abc import Iterator
from typing import Final

from policies.resources import Resource, pod_of, rows, table
from policies.rule import Rule

_SECRET_NAME: Final = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|PRIVATE_?KEY|API_?KEY)")
_POINTER: Final = ("_FILE", "_PATH", "_DIR")
_KEY_BLOCK: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_PASSWORD_LINE: Final = re.compile(
    r"(?im)^\s*(?:[\w.-]*password|requirepass|[\w.-]*secret)\s*[=: ]\s*(?!\$|/|file:)[\"']?\w"
)
_PLAINTEXT: Final = (
    # Kafka: a listener, or a map of listener names to protocols, without TLS.
    (re.compile(r"(?m)\b(?:SASL_)?PLAINTEXT://|:(?:SASL_)?PLAINTEXT\b"), "a listener without TLS"),
    # PostgreSQL: `host` also admits connections without TLS; `hostssl` does not.
    (re.compile(r"(?m)^\s*host\s+\S+\s+\S+\s+\S+"), "a pg_hba line that admits plaintext"),
    (re.compile(r"(?m)^\s*ssl\s*=\s*off\b"), "ssl = off"),
    # Redis: `port 0` closes the plaintext port, any other value opens it.
    (re.compile(r"(?m)^\s*port\s+[1-9]\d*\s*$"), "a plaintext port (set `port 0`)"),
)


def no_secret_in_environment(resource: Resource) -> Iterator[str]:
    """Variables are shown by `describe`, inherited by children and end up in crash reports."""
    pod = pod_of(resource)
    for name, container in pod.containers() if pod else ():
        for variable in rows(container, "env"):
            key = str(variable.get("name", ""))
            if table(variable, "valueFrom", "secretKeyRef"):
                yield f"container {name}: {key} takes a Secret into the environment; mount it"
            elif _SECRET_NAME.search(key.upper()) and not key.endswith(_POINTER):
                yield (
                    f"container {name}: {key} looks like a secret in the environment; mount the "
                    f"Secret and give the path in {key}_FILE"
                )
        if any(table(source, "secretRef") for source in rows(container, "envFrom")):
            yield f"container {name}: envFrom takes a whole Secret into the environment; mount it"


def no_secret_in_config_map(resource: Resource) -> Iterator[str]:
    for key, text in _documents(resource):
        if _KEY_BLOCK.search(text):
            yield f"key {key}: holds a private key; put it into a Secret"
        elif _PASSWORD_LINE.search(text):
            yield f"key {key}: holds a password; put it into a Secret and refer to its file"


def no_plaintext_hop(resource: Resource) -> Iterator[str]:
    for key, text in _documents(resource):
        for pattern, what in _PLAINTEXT:
            if pattern.search(text):
                yield f"key {key}: {what}; every hop is TLS"


def _documents(resource: Resource) -> Iterator[tuple[str, str]]:
    if resource.kind == "ConfigMap":
        for key, text in table(resource.props, "data").items():
            if isinstance(text, str):
                yield key, text


RULES: Final = (
    Rule("no-secret-env", "No secret in an environment variable.", no_secret_in_environment),
    Rule("no-secret-config", "No key or password in a ConfigMap.", no_secret_in_config_map),
    Rule("no-plaintext-hop", "No server listens without TLS.", no_plaintext_hop),
)

"""Where pods find what is mounted into them: everything of ours below one directory."""

from typing import Final

ROOT: Final = "/etc/millrace"
CA: Final = f"{ROOT}/ca"
CA_FILE: Final = f"{CA}/ca.crt"
"""The CA certificates that every server's certificate must lead to."""
TLS: Final = f"{ROOT}/tls"
"""A server's own `tls.crt`, `tls.key`, `ca.crt` and `keystore.pem`."""
RECEIVERS: Final = f"{ROOT}/receivers"
"""A folder per receiver of alerts, with what opens the way there."""
SPEC: Final = f"{ROOT}/spec"
SPEC_FILE: Final = f"{SPEC}/spec.json"
"""In Jobs: what a server should be like."""


def config(server: str) -> str:
    """The configuration of that kind of server, like `postgres`."""
    return f"{ROOT}/{server}"


def secret(what: str) -> str:
    """The Secret with the password or the key for `what`."""
    return f"{ROOT}/secrets/{what}"

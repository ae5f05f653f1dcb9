"""What programs of Prometheus' family have in common: how they listen, and their share of the
machine."""

import math
from typing import Final

import yaml

from components.kit import paths
from components.kit.args import Resources
from components.kit.quantities import amount

PORT_NAME: Final = "https"
WEB_FILE: Final = "web.yml"
"""Of the configuration: read with every connection, and so are the certificate and its key."""
_MEMORY: Final = 0.85
"""Of the limit, from which Go collects with more zeal than usual: the rest is for what it does not
count, like files that are mapped."""


def web_config() -> str:
    """TLS only, by the server's own certificate; nobody logs in."""
    return yaml.safe_dump(
        {
            "tls_server_config": {
                "cert_file": f"{paths.TLS}/tls.crt",
                "key_file": f"{paths.TLS}/tls.key",
                "min_version": "TLS12",
            }
        },
        sort_keys=False,
    )


def go_runtime(resources: Resources) -> dict[str, str]:
    """Variables of a program in Go, so that it neither starts a thread per core of the machine nor
    learns of its memory limit by being killed."""
    return {
        "GOMAXPROCS": str(max(1, math.ceil(amount(resources.cpu_limit)))),
        "GOMEMLIMIT": str(int(amount(resources.memory_limit) * _MEMORY)),
    }

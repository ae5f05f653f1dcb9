"""The collector's configuration on each node: lines of the pods' logs, brought to the store."""

from collections.abc import Sequence
from typing import Any, Final

import yaml

from components.kit import paths
from components.kit.volumes import NODE_LOGS

OWN_PORT: Final = 8888
HEALTH_PORT: Final = 13133
STATE: Final = "/var/lib/log-reader"
"""Where it remembers how far it has read."""
_ALL: Final = "0.0.0.0"  # noqa: S104 - of the pod


def configuration(*, namespaces: Sequence[str], store: str, store_pods: str = "loki") -> str:
    """YAML.

    Args:
        namespaces: whose pods' logs are read.
        store: Loki's URL, without a path.
        store_pods: what its pods' names begin with.
    """
    document: dict[str, Any] = {
        "extensions": {
            "health_check": {"endpoint": f"{_ALL}:{HEALTH_PORT}"},
            "file_storage": {"directory": STATE},
        },
        "receivers": {
            "filelog": {
                "include": [f"{NODE_LOGS}/{name}_*/*/*.log*" for name in namespaces],
                # A line that it refuses would make it write one about that.
                # Of what was rotated the newest is not compressed.
                "exclude": [
                    f"{NODE_LOGS}/*_{store_pods}-*/*/*.log*",
                    f"{NODE_LOGS}/*/*/*.gz",
                    f"{NODE_LOGS}/*/*/*.tmp",
                ],
                # Of a pod that it sees first in the middle of its life, too: a line that
                # comes twice is shown once.
                "start_at": "beginning",
                # Of a long line each 16 KiB are a line of the file.
                "preserve_leading_whitespaces": True,
                "preserve_trailing_whitespaces": True,
                "include_file_path": True,
                "include_file_name": False,
                # By default five times a second.
                "poll_interval": "5s",
                "storage": "file_storage",
                # While the store is away lines wait where they are, on the node.
                "retry_on_failure": {"enabled": True, "max_elapsed_time": "0s"},
                "operators": [{"type": "container", "add_metadata_from_filepath": True}],
            }
        },
        "processors": {
            "memory_limiter": {
                "check_interval": "1s",
                "limit_percentage": 80,
                "spike_limit_percentage": 20,
            }
        },
        "exporters": {
            "otlp_http": {
                "endpoint": f"{store}/otlp",
                "tls": {"ca_file": paths.CA_FILE, "min_version": "1.2", "reload_interval": "1h"},
                "compression": "gzip",
                # On the pod's disk: what was read is not lost with the process. By bytes, as a
                # request that is larger than Loki takes would be tried for ever.
                "sending_queue": {
                    "enabled": True,
                    "storage": "file_storage",
                    "sizer": "bytes",
                    "queue_size": 32 * 2**20,
                    "block_on_overflow": True,
                    "num_consumers": 1,
                    "batch": {"sizer": "bytes", "max_size": 3_000_000, "flush_timeout": "1s"},
                },
                "retry_on_failure": {"max_elapsed_time": "0s"},
            }
        },
        "service": {
            "extensions": ["health_check", "file_storage"],
            "pipelines": {
                "logs": {
                    "receivers": ["filelog"],
                    "processors": ["memory_limiter"],
                    "exporters": ["otlp_http"],
                }
            },
            "telemetry": {
                # What it says of itself must not make more to say: its own log is not read.
                "logs": {"encoding": "json", "level": "warn"},
                "metrics": {
                    "level": "basic",
                    "readers": [
                        {"pull": {"exporter": {"prometheus": {"host": _ALL, "port": OWN_PORT}}}}
                    ],
                },
            },
        },
    }
    return yaml.safe_dump(document, sort_keys=False)

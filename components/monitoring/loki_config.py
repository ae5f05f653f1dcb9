"""Loki's configuration: one process that takes lines by OTLP and keeps them in files."""

from typing import Any, Final

import yaml

from components.kit import paths

PORT: Final = 3100
DATA: Final = "/loki"
LABELS: Final = ("k8s.namespace.name", "k8s.container.name")
"""What lines are filed by: each set of values has files of its own, so what comes and goes, like a
pod's name, is no label but goes with the line."""
_HERE: Final = "127.0.0.1"
_SELDOM: Final = "1m"
_WEEK: Final = "168h"
"""Older lines are refused: a reader that starts anew brings what the node still has."""
_MOST_LINES: Final = 5_000
"""Of one answer."""


def configuration(*, retention_days: int) -> str:
    """YAML.

    Args:
        retention_days: how long a line is kept.
    """
    document: dict[str, Any] = {
        # Tenants: there is one.
        "auth_enabled": False,
        "analytics": {"reporting_enabled": False},
        "server": {
            "http_listen_port": PORT,
            # Its parts talk to each other by this; nobody else has to.
            "grpc_listen_address": _HERE,
            "grpc_listen_port": 9095,
            # What one request brings goes from part to part by it; the default is 4 MB.
            "grpc_server_max_recv_msg_size": 16 * 2**20,
            "grpc_server_max_send_msg_size": 16 * 2**20,
            "http_tls_config": {
                "cert_file": f"{paths.TLS}/tls.crt",
                "key_file": f"{paths.TLS}/tls.key",
            },
            "tls_min_version": "VersionTLS12",
            "log_level": "warn",
            "log_format": "json",
        },
        "common": {
            "path_prefix": DATA,
            "replication_factor": 1,
            "instance_addr": _HERE,
            "ring": {
                "kvstore": {"store": "inmemory"},
                "instance_addr": _HERE,
                # Of parts of one process, which are asked of each other much more often by default.
                "heartbeat_period": _SELDOM,
                "heartbeat_timeout": "10m",
            },
            "storage": {
                "filesystem": {
                    "chunks_directory": f"{DATA}/chunks",
                    # There are none, but it does not start without.
                    "rules_directory": f"{DATA}/rules",
                }
            },
        },
        "schema_config": {
            "configs": [
                {
                    "from": "2025-01-01",
                    "store": "tsdb",
                    "object_store": "filesystem",
                    "schema": "v13",
                    "index": {"prefix": "index_", "period": "24h"},
                }
            ]
        },
        "compactor": {
            "working_directory": f"{DATA}/compactor",
            "retention_enabled": True,
            "delete_request_store": "filesystem",
        },
        "ingester": {
            # What comes is as late as half of this behind the newest of its container: a reader
            # that begins anew brings hours, and pods of one container are read one after the other.
            "max_chunk_age": "24h",
            "lifecycler": {"min_ready_duration": "0s", "heartbeat_period": _SELDOM},
            "flush_check_period": _SELDOM,
        },
        "distributor": {
            "ring": {"heartbeat_period": _SELDOM},
            "rate_store": {"stream_rate_update_interval": _SELDOM},
        },
        # Few ask, and seldom the same.
        "query_range": {
            "cache_results": False,
            "results_cache": {"cache": {"embedded_cache": {"enabled": False}}},
        },
        "chunk_store_config": {"chunk_cache_config": {"embedded_cache": {"enabled": False}}},
        "tracing": {"enabled": False},
        "limits_config": {
            "retention_period": f"{retention_days * 24}h",
            "reject_old_samples_max_age": _WEEK,
            "max_line_size": "256KB",
            "max_line_size_truncate": True,
            "max_entries_limit_per_query": _MOST_LINES,
            "ingestion_rate_mb": 8,
            "ingestion_burst_size_mb": 16,
            "per_stream_rate_limit": "8MB",
            "per_stream_rate_limit_burst": "16MB",
            "max_global_streams_per_user": 5_000,
            "shard_streams": {"enabled": False},
            # Nobody logs in, so nobody deletes.
            "deletion_mode": "disabled",
            "volume_enabled": False,
            "discover_service_name": [],
            "discover_log_levels": False,
            "otlp_config": {
                "resource_attributes": {
                    "ignore_defaults": True,
                    "attributes_config": [
                        {"action": "index_label", "attributes": list(LABELS)},
                        {"action": "structured_metadata", "attributes": ["k8s.pod.name"]},
                        {"action": "drop", "regex": ".*"},
                    ],
                },
                "log_attributes": [{"action": "drop", "regex": ".*"}],
            },
        },
    }
    return yaml.safe_dump(document, sort_keys=False)

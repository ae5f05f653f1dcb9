"""The scripts a Kafka node starts with, is probed with, and waits with until it has caught up."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from components.kit import paths
from components.kit.scripts import filled
from components.servers.kafka import config
from components.servers.kafka.quorum import VOTERS

IN_SYNC_FILE: Final = "/tmp/in-sync"  # noqa: S108 - the pod's own
"""There once the broker has been in sync since its start."""


def scripts() -> Mapping[str, str]:
    """File name to text, for the ConfigMap."""
    shared = {"CONFIG": config.CONFIG_PATH, "IN_SYNC": IN_SYNC_FILE}
    values = {
        "start.sh": {
            **shared,
            "DATA": config.DATA_PATH,
            "CLIENT": config.CLIENT_PORT,
            "INTERNAL": config.INTERNAL_PORT,
            "VOTERS": VOTERS,
            "AGENT": config.AGENT,
            "METRICS": config.METRICS_FILE,
        },
        "ready.sh": {"TLS": paths.TLS},
        "in-sync.sh": shared,
    }
    return {name: filled(Path(__file__).with_name(name), asked) for name, asked in values.items()}

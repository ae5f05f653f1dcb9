"""Section of a stack file: what pods write down, kept beyond the pods."""

from typing import Annotated

from pydantic import Field, field_validator

from infra.model.settings.base import Bytes, ResourceSettings, Settings, check_volume, size


class LogsSettings(Settings):
    """Whether lines of logs are kept for longer than their pod and its node keep them."""

    enabled: bool = False
    """Makes Loki, which keeps them, and the namespace logging with a pod on every node that reads
    them there. `make logs` works without, as far as the nodes remember."""
    retention_days: Annotated[int, Field(ge=1, le=3650)] = 7
    """How long lines are kept. Nothing else makes room: `storage` has to hold what comes in that
    time."""
    storage: Bytes = "10Gi"
    """Loki's volume."""
    loki: ResourceSettings = size("10m", "128Mi", "500m", "512Mi")
    """Of Loki's one pod."""
    reader: ResourceSettings = size("5m", "48Mi", "200m", "160Mi")
    """Of the pod on each node."""

    @field_validator("storage")
    @classmethod
    def _holds_lines(cls, storage: str) -> str:
        """`storage` is at least `1Gi`: Loki stops taking lines when its volume is full."""
        return check_volume(storage, "1Gi", "lines of days, and Loki stops when it is full")

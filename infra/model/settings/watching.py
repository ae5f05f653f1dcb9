"""Tables of the section `monitoring`: what watches the platform, and how large it is."""

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from infra.model.settings.base import Bytes, ResourceSettings, Settings, check_volume, size
from infra.model.settings.cluster import NODE_PORTS


class _Published(Settings):
    node_port: int | None = None
    """Port of every node that leads there, by HTTPS; the clusters of `make up` publish 30090 and
    30030 on this machine, shifted by `PORT_OFFSET`. Absent: inside the cluster only."""

    @model_validator(mode="after")
    def _a_node_port(self) -> Self:
        """`nodePort` is from 30000 to 32767: the API server hands out no other."""
        if self.node_port is not None and self.node_port not in NODE_PORTS:
            raise ValueError(
                f"nodePort is {self.node_port}, but the API server only hands out ports from "
                f"{NODE_PORTS.start} to {NODE_PORTS.stop - 1}; choose one of those, or leave it "
                "out"
            )
        return self


class PrometheusSettings(_Published):
    """What asks and keeps the answers"""

    retention_days: Annotated[int, Field(ge=1, le=3650)] = 31
    """How long values are kept; less where they would take more than 80 % of `storage`. Objectives
    look back 30 days: with less they say what they know."""
    storage: Bytes = "5Gi"
    """Its volume."""
    resources: ResourceSettings = size("30m", "256Mi", "1", "640Mi")
    """Of its one pod."""
    kubelet_verified: bool = True
    """Whether kubelets must show a certificate of the cluster's CA. Some clusters' sign their own:
    only there say false, as whoever answers in a kubelet's place is then given Prometheus' token,
    which reads pods and nodes."""

    @field_validator("storage")
    @classmethod
    def _holds_the_newest(cls, storage: str) -> str:
        """`storage` is at least `1Gi`: values of the last hours lie in files of 128 MiB, and none
        of those goes to make room."""
        return check_volume(storage, "1Gi", "the values of the last hours, which never make room")


class AlertmanagerSettings(Settings):
    """What tells people"""

    storage: Bytes = "64Mi"
    """Its volume: silences, and what was told. A cloud's smallest volume may be larger."""
    resources: ResourceSettings = size("5m", "32Mi", "250m", "96Mi")
    """Of its one pod."""

    @field_validator("storage")
    @classmethod
    def _holds_what_was_told(cls, storage: str) -> str:
        """`storage` is at least `16Mi`: who was told and cannot be written down is told again."""
        return check_volume(storage, "16Mi", "silences, and who was told of what")


class GrafanaSettings(_Published):
    """What shows the dashboards"""

    resources: ResourceSettings = size("20m", "128Mi", "500m", "384Mi")
    """Of its one pod."""

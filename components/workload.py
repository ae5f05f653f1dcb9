"""The one builder every Python service goes through."""

from collections.abc import Mapping
from typing import Literal

import pulumi

from components.args import Args, Files, Image, Mount, Quantity, Resources, Text
from components.connections import Connection


class Entry(Args):
    """How the workload's Service is reached; ClusterIP is inside the cluster only."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    port: int = 80
    """The Service's port; it leads to the container's `http_port`."""
    node_port: int | None = None
    annotations: Mapping[str, str] = {}


class WorkloadArgs(Args):
    """One Python service. Times in seconds. The builder itself sets SERVICE_NAME, HTTP_PORT,
    SHUTDOWN_GRACE_SECONDS and the CA mount at /etc/millrace/ca."""

    namespace: Text
    image: Image
    command: tuple[str, ...]
    resources: Resources
    ca: Files
    """Bundle of the internal CA in the workload's namespace."""
    replicas: int = 2
    component: str = "service"
    """Label app.kubernetes.io/component."""
    entry: Entry | None = None
    """None: a ClusterIP Service with the metrics port only."""
    connections: tuple[Connection, ...] = ()
    env: Mapping[str, Text] = {}
    pod_name_env: tuple[str, ...] = ()
    """Variables that get the pod's name, like RELAY_ID."""
    mounts: tuple[Mount, ...] = ()
    config: Mapping[str, Text] = {}
    """More of what must roll the pods and be waited for, like a migration Job's `completed`."""
    http_port: int = 8080
    liveness_path: str = "/health"
    readiness_path: str = "/ready"
    startup_seconds: int = 60
    drain_seconds: int = 5
    """preStop sleep: time for the endpoint's removal to reach every proxy."""
    termination_grace_seconds: int = 40
    tmp_size: Quantity = "64Mi"
    uid: int = 10001


class Workload(pulumi.ComponentResource):
    """A Deployment with everything a service needs to be rolled, drained and probed safely.

    Makes: ServiceAccount (no token), Deployment, Service, and a PDB for two or more replicas.
    """

    service_name: pulumi.Output[str]
    deployment_name: pulumi.Output[str]
    port: pulumi.Output[int]
    """The Service's port."""
    node_port: pulumi.Output[int | None]

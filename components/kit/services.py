"""Services: how pods are found, and the names they are found by."""

from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components.kit import objects
from components.kit.args import Text

_POD_NAME: Final = "statefulset.kubernetes.io/pod-name"
"""A label that Kubernetes gives to every pod of a StatefulSet."""


def cluster_service(
    name: str,
    namespace: Text,
    label: Mapping[str, str],
    ports: Mapping[str, int],
    child: pulumi.ResourceOptions,
    *,
    startup_seconds: int,
    publish_not_ready: bool | None = None,
    replica: str | None = None,
    node_ports: Mapping[str, int] | None = None,
) -> k8s.core.v1.Service:
    """The Service clients use: ready replicas, unless others are published as well, or one
    `replica` of a StatefulSet alone. With `node_ports`, by name, ports of every node lead there.

    Pulumi waits for the first.
    """
    return k8s.core.v1.Service(
        name,
        metadata=objects.metadata(name, namespace, label, objects.awaited(startup_seconds)),
        spec=k8s.core.v1.ServiceSpecArgs(
            type="NodePort" if node_ports else "ClusterIP",
            selector=objects.selector(name) | ({_POD_NAME: replica} if replica else {}),
            publish_not_ready_addresses=publish_not_ready,
            ports=_ports(ports, node_ports),
        ),
        opts=child,
    )


def headless_service(
    name: str,
    namespace: Text,
    label: Mapping[str, str],
    ports: Mapping[str, int],
    child: pulumi.ResourceOptions,
) -> k8s.core.v1.Service:
    """The Service `<name>-headless`, which gives each replica of `name` a host name."""
    return k8s.core.v1.Service(
        f"{name}-headless",
        metadata=objects.metadata(f"{name}-headless", namespace, label),
        spec=k8s.core.v1.ServiceSpecArgs(
            cluster_ip="None",
            selector=objects.selector(name),
            # Replicas must find each other before they can become ready.
            publish_not_ready_addresses=True,
            ports=_ports(ports),
        ),
        opts=child,
    )


def _ports(
    ports: Mapping[str, int], node_ports: Mapping[str, int] | None = None
) -> list[k8s.core.v1.ServicePortArgs]:
    outside = node_ports or {}
    return [
        k8s.core.v1.ServicePortArgs(
            name=name, port=port, target_port=name, node_port=outside.get(name), protocol="TCP"
        )
        for name, port in ports.items()
    ]


def host_names(service_name: str, namespace: str) -> list[str]:
    """Every name a Service may be called by, shortest first."""
    full = f"{service_name}.{namespace}.svc.cluster.local"
    labels = full.split(".")
    return [".".join(labels[:count]) for count in (1, 2, 3, 5)]


def host_name(service_name: str, namespace: str) -> str:
    """The name that clients in other namespaces use: `postgres.data.svc`."""
    return host_names(service_name, namespace)[2]


def replica_domain(name: str, namespace: str) -> str:
    """Below it, every replica of the StatefulSet `name` has its full host name."""
    return host_names(f"{name}-headless", namespace)[-1]

"""The ports of a workload: what the container listens on, and the Services that lead there."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

import pulumi
import pulumi_kubernetes as k8s
from pydantic import AfterValidator, Field

from components.kit import objects, rules
from components.kit.args import Args, Text
from components.kit.names import variable

_NODE_PORTS: Final = range(30000, 32768)


class Entry(Args):
    """How the ports that have an `outside` are reached from outside the cluster."""

    type: Literal["NodePort", "LoadBalancer"] = "NodePort"
    annotations: Mapping[str, str] = {}


class Port(Args):
    """One port of the container, which hears of it as <NAME>_PORT."""

    name: Annotated[str, AfterValidator(rules.check_port_name)]
    number: Annotated[int, AfterValidator(rules.check_port_number)]
    protocol: Literal["http", "grpc"] = "http"
    outside: int | None = Field(default=None, ge=1, le=65535)
    """The node port, or what the load balancer listens on; None: inside the cluster only."""

    @property
    def variable(self) -> str:
        return variable(self.name, "PORT")

    @property
    def inside(self) -> int:
        """The Service's port: 80 for the port called http, else the container's."""
        return 80 if self.name == "http" else self.number


def check(ports: tuple[Port, ...], entry: Entry | None) -> None:
    """Raises ValueError when two ports are one, or the entry and the ports do not agree."""
    for what in ("name", "number"):
        values = [getattr(port, what) for port in ports]
        if len(set(values)) < len(values):
            raise ValueError(
                f"two of the ports have the same {what} ({', '.join(map(str, values))}), and the "
                "API server refuses such a pod; change one"
            )
    published = [port for port in ports if port.outside is not None]
    if bool(published) != (entry is not None):
        raise ValueError(
            "entry and the ports' `outside` go together: one says how, the other where; give both, "
            "or neither for a service inside the cluster"
        )
    for port in published:
        if entry and entry.type == "NodePort" and port.outside not in _NODE_PORTS:
            raise ValueError(
                f"port {port.name}: outside is {port.outside}, but node ports are from 30000 to "
                "32767, the only ones the API server hands out; choose one of those"
            )


def services(
    name: str,
    namespace: Text,
    label: Mapping[str, str],
    child: pulumi.ResourceOptions,
    *,
    wait: Mapping[str, Text],
    ports: tuple[Port, ...],
    entry: Entry | None,
) -> k8s.core.v1.Service:
    """The Service `<name>`; and beside a published one, `<name>-internal` for the other ports.

    One Service cannot hold both: every port of a published one gets a port outside, asked or not.
    """
    published = tuple(port for port in ports if port.outside is not None)
    rest = tuple(port for port in ports if port.outside is None)

    def service(
        own: str, type_: str, own_ports: tuple[Port, ...], annotations: Mapping[str, Text]
    ) -> k8s.core.v1.Service:
        return k8s.core.v1.Service(
            own,
            metadata=objects.metadata(own, namespace, label, {**wait, **annotations}),
            spec=k8s.core.v1.ServiceSpecArgs(
                type=type_,
                selector=objects.selector(name),
                ports=list(_service_ports(own_ports, type_)),
            ),
            opts=child,
        )

    if entry is None:
        return service(name, "ClusterIP", ports, {})
    if rest:
        service(f"{name}-internal", "ClusterIP", rest, {})
    return service(name, entry.type, published, entry.annotations)


def _service_ports(ports: tuple[Port, ...], type_: str) -> Iterator[k8s.core.v1.ServicePortArgs]:
    for port in ports:
        yield k8s.core.v1.ServicePortArgs(
            name=port.name,
            port=port.outside if type_ == "LoadBalancer" and port.outside else port.inside,
            target_port=port.name,
            node_port=port.outside if type_ == "NodePort" else None,
            protocol="TCP",
            # Proxies take a port they know nothing of for HTTP/1.1.
            app_protocol="kubernetes.io/h2c" if port.protocol == "grpc" else None,
        )

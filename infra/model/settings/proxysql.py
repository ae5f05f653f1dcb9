"""Section of a stack file: ProxySQL."""

from typing import Annotated, Final, Literal

from pydantic import Field

from infra.model.settings.base import ResourceSettings, Settings, size

CONNECTIONS_OF_MONITOR: Final = 4
"""Of one replica on each node, beside those for statements."""


class ProxySQLSettings(Settings):
    """ProxySQL before each MySQL server whose record asks for it: services share few connections,
    and plain reads go to the copies."""

    enabled: bool | Literal["given"] = "given"
    """`given`: where there is an image of it, the official one or one in
    `images.overrides.proxysql`; else services reach MySQL itself, and every update says so."""
    replicas: Annotated[int, Field(ge=1, le=10)] = 2
    """Of each."""
    connections: Annotated[int, Field(ge=2, le=1000)] = 8
    """Of one replica to a copy, at most, for reads; to the source twice as many, for both."""
    max_clients: Annotated[int, Field(ge=10, le=20000)] = 2000
    """Connections of services to one replica, at most."""
    threads: Annotated[int, Field(ge=1, le=32)] = 2
    """That serve clients, in one replica."""
    resources: ResourceSettings = size("50m", "128Mi", "1", "256Mi")
    """Of one replica."""

    def of_each_node(self, *, source: bool) -> int:
        """Connections that all replicas may hold on the source, or on a copy."""
        shares = 2 if source else 1
        return self.replicas * (shares * self.connections + CONNECTIONS_OF_MONITOR)

"""Where the stack's entries answer."""

from typing import Literal

from infra.model.environment import Environment
from infra.model.settings import EntrySettings


def url(
    entry: EntrySettings, environment: Environment, name: str, protocol: Literal["http", "grpc"]
) -> str:
    """Where the entry's port of that name answers, seen from outside the cluster."""
    scheme, usual = ("https", 443) if entry.tls else ("http", 80)
    # Another checkout's cluster has the same node ports behind other ports of the host.
    port = entry.ports[name] + (environment.port_offset if entry.type == "NodePort" else 0)
    if protocol == "grpc":
        # No scheme: gRPC's clients are given host and port, and are told of TLS elsewhere.
        return f"{entry.host_of(name)}:{port}"
    return f"{scheme}://{entry.host_of(name)}" + ("" if port == usual else f":{port}")

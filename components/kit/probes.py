"""Probes: startup has the patience, readiness tells the truth, liveness asks little."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi_kubernetes as k8s

from components.kit.args import Args


class Probes(Args):
    """How a container is watched. Paths for HTTP, commands for exec, else a TCP connect."""

    port: str
    """Name of the container port."""
    startup_seconds: int
    """How long a start may take (log recovery, crash recovery) before it counts as hung."""
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    """Of paths. The kubelet takes any certificate: what it asks is whether the process answers."""
    grpc_port: int | None = None
    """Number of a port with gRPC's health service: instead of paths, it is asked for the services
    `liveness` (while starting, too) and `readiness`."""
    startup_path: str | None = None
    readiness_path: str | None = None
    liveness_path: str | None = None
    readiness_command: tuple[str, ...] = ()
    startup_command: tuple[str, ...] = ()
    """None: the readiness command. Differs where a start is over before the server is ready."""


@dataclass(frozen=True)
class BuiltProbes:
    startup_seconds: int
    startup: k8s.core.v1.ProbeArgs
    readiness: k8s.core.v1.ProbeArgs
    liveness: k8s.core.v1.ProbeArgs


_STARTUP_PERIOD = 2
_PERIOD = 5
_EXEC_PERIOD = 10
"""To start a program in a container takes 80 ms of a processor: six servers asked every 5 s took a
quarter of what the idle platform did."""


def build(probes: Probes) -> BuiltProbes:
    """The three probes. Periods and timeouts in seconds."""
    return BuiltProbes(
        startup_seconds=probes.startup_seconds,
        startup=_probe(
            probes,
            probes.startup_path,
            probes.startup_command or probes.readiness_command,
            "liveness",
            period=_STARTUP_PERIOD,
            failures=max(1, probes.startup_seconds // _STARTUP_PERIOD),
        ),
        readiness=_probe(
            probes,
            probes.readiness_path,
            probes.readiness_command,
            "readiness",
            period=_EXEC_PERIOD if probes.readiness_command else _PERIOD,
            failures=2,
        ),
        # A busy process must not be restarted: a whole minute of silence before it is.
        liveness=_probe(probes, probes.liveness_path, (), "liveness", period=10, failures=6),
    )


def _probe(
    probes: Probes,
    path: str | None,
    command: Sequence[str],
    service: str,
    *,
    period: int,
    failures: int,
) -> k8s.core.v1.ProbeArgs:
    # Exec probes start a program, which takes a while on a machine without an idle core.
    timeout = 5 if command else 3
    action: dict[str, Any] = {}
    if probes.grpc_port is not None:
        action["grpc"] = k8s.core.v1.GRPCActionArgs(port=probes.grpc_port, service=service)
    elif path:
        action["http_get"] = k8s.core.v1.HTTPGetActionArgs(
            path=path, port=probes.port, scheme=probes.scheme
        )
    elif command:
        action["exec_"] = k8s.core.v1.ExecActionArgs(command=list(command))
    else:
        action["tcp_socket"] = k8s.core.v1.TCPSocketActionArgs(port=probes.port)
    return k8s.core.v1.ProbeArgs(
        **action,
        period_seconds=period,
        timeout_seconds=timeout,
        failure_threshold=failures,
        success_threshold=1,
    )

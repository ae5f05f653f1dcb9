"""Jaeger: keeps the newest traces in memory, and gives them by its API."""

from typing import Annotated, Final

import pulumi
from pydantic import Field

from components.kit import paths
from components.kit.probes import Probes
from components.monitoring.single import STARTUP_SECONDS, Program, SingleArgs, deploy

OTLP_PORT: Final = 4317
QUERY_PORT: Final = 16686
ADMIN_PORT: Final = 14269
_UID: Final = 10014


class JaegerArgs(SingleArgs):
    """One Jaeger."""

    traces: Annotated[int, Field(ge=1)]
    """The newest that are kept; older ones make room."""


class Jaeger(pulumi.ComponentResource):
    """A Jaeger whose traces are gone with its pod, inside the cluster only, all of it by TLS.

    Makes: Certificate `<name>-tls`, ServiceAccount (no token), Deployment and Service `<name>`.
    """

    host: pulumi.Output[str]

    def __init__(
        self, name: str, args: JaegerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("millrace:monitoring:Jaeger", name, None, opts)
        self.host = deploy(name, args, _program(args), self)
        self.register_outputs({"host": self.host})


def _program(args: JaegerArgs) -> Program:
    return Program(
        uid=_UID,
        component="jaeger",
        command=(
            "/go/bin/all-in-one-linux",
            f"--memory.max-traces={args.traces}",
            f"--collector.otlp.grpc.host-port=:{OTLP_PORT}",
            f"--query.http-server.host-port=:{QUERY_PORT}",
            f"--admin.http.host-port=:{ADMIN_PORT}",
            *_tls("collector.otlp.grpc"),
            *_tls("query.http"),
            *_tls("admin.http"),
            "--log-level=warn",
        ),
        ports={"otlp": OTLP_PORT, "query": QUERY_PORT, "admin": ADMIN_PORT},
        # It would tell itself of its own traces.
        env={"OTEL_TRACES_SAMPLER": "always_off", "SPAN_STORAGE_TYPE": "memory"},
        probes=Probes(
            port="admin",
            scheme="HTTPS",
            startup_seconds=STARTUP_SECONDS,
            startup_path="/",
            readiness_path="/",
            # The same page: it says how the process fares, and asks nobody else.
            liveness_path="/?liveness",
        ),
    )


def _tls(server: str) -> tuple[str, ...]:
    return (
        f"--{server}.tls.enabled=true",
        f"--{server}.tls.cert={paths.TLS}/tls.crt",
        f"--{server}.tls.key={paths.TLS}/tls.key",
    )

"""Section of a stack file: traces of what the services do."""

from typing import Annotated

from pydantic import Field

from infra.model.settings.base import ResourceSettings, Settings, size


class JaegerSettings(Settings):
    """What keeps traces in memory, where no other store is named"""

    traces: Annotated[int, Field(ge=1)] = 5000
    """How many, the newest; about 20 KiB each where services talk much."""
    resources: ResourceSettings = size("5m", "48Mi", "500m", "320Mi")
    """Of its one pod."""


class TracingSettings(Settings):
    """Traces: where the services' spans go, and of how many traces they are kept."""

    endpoint: (
        Annotated[
            str,
            Field(
                pattern=r"^https?://[^\s?#]*[^\s?#/]$",
                examples=["https://collector.mill.example:4318"],
            ),
        ]
        | None
    ) = None
    """URL of a collector's OTLP/HTTP receiver, without `/v1/traces`. With https its certificate
    leads to the internal CA. Left out: the platform's own collector."""
    sampling: Annotated[float, Field(ge=0, le=1)] = 0.1
    """The share of the traces whose spans are kept, of those that begin in a service. Who calls
    with a `traceparent` has decided already. With a collector that looks at whole traces before it
    keeps them, 1 lets it find every one that failed or was slow."""
    kept: Annotated[float, Field(ge=0, le=1)] = 1
    """Of the traces that reach the platform's collector, the share that is kept although nothing
    failed, nothing took more than a second and no caller asked for them; those are all kept."""
    store: (
        Annotated[
            str, Field(pattern=r"^[^\s:/]+:[0-9]{1,5}$", examples=["traces.mill.example:4317"])
        ]
        | None
    ) = None
    """Host and port of a store that takes OTLP over gRPC with TLS, by a certificate that the
    collector's image trusts. Left out: Jaeger, whose traces are gone with its pod."""
    collector: ResourceSettings = size("15m", "96Mi", "500m", "256Mi")
    """Of the collector's one pod."""
    jaeger: JaegerSettings = JaegerSettings()
    """What keeps traces in memory, where `store` is left out."""

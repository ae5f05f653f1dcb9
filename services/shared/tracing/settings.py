"""Where spans go, and how many."""

from __future__ import annotations

from pydantic import Field, FilePath, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class TracingSettings(BaseSettings):
    """Spans for a collector that takes OTLP over HTTP. Without an endpoint none is made."""

    model_config = SettingsConfigDict(
        env_prefix="TRACING_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    endpoint: str | None = Field(default=None, pattern=r"^https?://[^\s?#]*[^\s?#/]$")
    """URL of the collector's OTLP/HTTP receiver, without a slash at its end; `/v1/traces` is
    appended. Left out: no span is made, and what would make and send them is not loaded."""
    ca_file: FilePath | None = None
    """File with the CA certificates that the collector's must lead to."""
    sampling: float = Field(default=0.0, ge=0, le=1)
    """The share of the traces that begin here whose spans are kept. A request, message or entry
    that comes with a `traceparent` is kept if that says so."""
    most_waiting: int = Field(default=4096, ge=64, le=1_000_000)
    """Spans that wait for the collector; what comes beyond them is dropped, and counted."""
    batch: int = Field(default=512, ge=1, le=10_000)
    """Most spans that are sent at a time; so many are sent at once, fewer after
    TRACING_DELAY_SECONDS."""
    delay_seconds: float = Field(default=5.0, gt=0, le=60)
    """How long a span may wait for others."""
    timeout_seconds: float = Field(default=3.0, gt=0, le=30)
    """For the collector to take a batch, repetitions included; then it is given up."""
    shutdown_seconds: float = Field(default=2.0, ge=0, le=30)
    """What the process waits at its end for the collector to take what is left."""
    service_version: str | None = None
    """`service.version` of the spans."""
    pod: str | None = None
    """`k8s.pod.name` of the spans (the pod's name)."""
    namespace: str | None = None
    """`k8s.namespace.name` of the spans."""

    @model_validator(mode="after")
    def _the_collector_is_verified(self) -> TracingSettings:
        """TRACING_CA_FILE is given where TRACING_ENDPOINT is https, and TRACING_BATCH is not above
        TRACING_MOST_WAITING."""
        if self.endpoint and self.endpoint.startswith("https:") and self.ca_file is None:
            raise ValueError(
                "the collector is reached over TLS, but ca_file is not set, so nobody could tell it"
                " from another; name the file of the CA"
            )
        if self.batch > self.most_waiting:
            raise ValueError("batch is above most_waiting, so none would ever be full; lower it")
        return self

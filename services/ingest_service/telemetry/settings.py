"""Settings of telemetry: what is let in, and the two ways to its database."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.shared.runtime.settings import DatabaseSettings


class PointSettings(BaseSettings):
    """What of points is let in, and for how long a request may wait for Kafka."""

    model_config = SettingsConfigDict(
        env_prefix="INGEST_POINTS_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    most: int = Field(default=500, ge=1, le=5000)
    """Most points in one request."""
    future_seconds: float = Field(default=300, ge=0, le=86_400)
    """How far a point's time may be ahead of this process's clock."""
    seconds: float = Field(default=10, ge=4, le=120)
    """For a request's points to be acknowledged. Kafka's client gives up two seconds earlier, so
    that as a rule it is known what became of them."""
    most_waiting: int = Field(default=20_000, ge=500, le=1_000_000)
    """Most points of a process that wait for Kafka; what comes beyond them is refused (503)."""


class TelemetrySettings(DatabaseSettings):
    """The source of the telemetry database, MySQL over TLS with the server's name verified: what
    has to see the newest row is read here."""

    model_config = SettingsConfigDict(
        env_prefix="TELEMETRY_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )


class ReadersSettings(DatabaseSettings):
    """The read-only copies of the telemetry database, over TLS with the server's name verified."""

    model_config = SettingsConfigDict(
        env_prefix="TELEMETRY_READERS_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

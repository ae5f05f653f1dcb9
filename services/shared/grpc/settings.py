"""Where a service listens for gRPC, and what it lets a client do."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, FilePath, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class GrpcSettings(BaseSettings):
    """The gRPC server of a process. Times are in seconds."""

    model_config = SettingsConfigDict(
        env_prefix="GRPC_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    host: str = "0.0.0.0"  # noqa: S104 - a pod listens on its own address only
    """Address to listen on."""
    port: int = Field(default=8443, ge=0, le=65535)
    """Port to listen on; 0: any that is free."""
    tls: Literal["required", "off"] = "off"
    """`off`: what stands before the service ends TLS, as it does for HTTP. `required`: the service
    does so itself, with the certificate below."""
    certificate_file: FilePath | None = Field(default=None, validate_default=True)
    """File with the certificate to show, and those between it and the CA; read again when it
    changes."""
    key_file: FilePath | None = Field(default=None, validate_default=True)
    """File with the certificate's key; read again when it changes."""
    max_request_bytes: int = Field(default=256 * 1024, ge=1024, le=10_000_000)
    """Most bytes of a message that a client sends."""
    max_response_bytes: int = Field(default=4 * 1024 * 1024, ge=1024, le=100_000_000)
    """Most bytes of a message that it is sent: what clients take unless they are told otherwise."""
    calls: int = Field(default=1000, ge=1, le=100_000)
    """Calls in hand at a time; what comes beyond them is refused."""
    streams: int = Field(default=500, ge=1, le=100_000)
    """Streams at a time, of all clients; what comes beyond them is refused."""
    calls_per_connection: int = Field(default=250, ge=1, le=100_000)
    """Calls and streams at a time on one connection; a client's further ones wait on its side."""
    default_seconds: float = Field(default=10, gt=0, le=3600)
    """For a call whose client sets no deadline."""
    most_seconds: float = Field(default=60, gt=0, le=3600)
    """For any call, whatever its deadline is."""
    stream_seconds: float = Field(default=300, gt=0, le=86_400)
    """For a stream; then it ends, and its client resumes it, maybe elsewhere."""
    connection_seconds: float = Field(default=300, ge=1, le=86_400)
    """After it, give or take a tenth, a client is asked to connect anew, so that clients spread
    over new pods; calls and streams that are under way go on."""
    keepalive_seconds: float = Field(default=30, ge=1, le=3600)
    """A connection on which nothing came for so long is asked for a sign of life."""
    keepalive_timeout_seconds: float = Field(default=10, ge=1, le=600)
    """Without that for so long its client is gone, and what it asked for is given up."""
    client_ping_seconds: float = Field(default=20, ge=1, le=3600)
    """Who asks for signs of life more often is disconnected."""
    health_seconds: float = Field(default=5, gt=0, le=600)
    """Between two looks at readiness for those who watch the service's health."""

    @field_validator("certificate_file", "key_file")
    @classmethod
    def _said_where_required(cls, value: FilePath | None, info: ValidationInfo) -> FilePath | None:
        """GRPC_CERTIFICATE_FILE and GRPC_KEY_FILE are given where GRPC_TLS is required."""
        if value is None and info.data.get("tls") == "required":
            raise ValueError(
                "not set; name the mounted file, or set GRPC_TLS=off where something before the"
                " service ends TLS"
            )
        return value

    @model_validator(mode="after")
    def _the_default_is_allowed(self) -> GrpcSettings:
        """GRPC_DEFAULT_SECONDS is not above GRPC_MOST_SECONDS."""
        if self.default_seconds > self.most_seconds:
            raise ValueError("default_seconds is above most_seconds, which no call gets; lower it")
        return self

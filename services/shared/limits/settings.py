"""How much a client may ask of a service."""

from __future__ import annotations

from typing import Final

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_LONGEST: Final = 86_400.0


class RateLimitSettings(BaseSettings):
    """Requests and calls that a client may make, of all pods together. Without a rate all may."""

    model_config = SettingsConfigDict(
        env_prefix="RATE_LIMIT_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    per_second: float | None = Field(default=None, ge=0.001, le=1_000_000)
    """Requests a second of one client: of one token's client id or, where no token is needed, of
    one address. Left out: no limit."""
    burst: int | None = Field(default=None, ge=1, le=10_000_000)
    """Requests that a client which made none for a while may make at once. Left out: as many as in
    a second, one at least."""
    clients: int = Field(default=10_000, ge=100, le=1_000_000)
    """Most clients that a process remembers; beyond them it forgets those that came longest ago."""
    exchange_seconds: float = Field(default=0.05, ge=0.005, le=10)
    """Between two exchanges with Redis. What a client gets from several pods within that time may
    be more than its burst; it is counted against what it gets next."""

    @property
    def at_once(self) -> int:
        """The burst, in requests."""
        return self.burst or max(1, round(self.per_second or 0))

    @model_validator(mode="after")
    def _there_is_an_end(self) -> RateLimitSettings:
        """RATE_LIMIT_BURST is worth a day of RATE_LIMIT_PER_SECOND at most."""
        if self.per_second and self.at_once / self.per_second > _LONGEST:
            raise ValueError("the burst takes longer than a day to come back; lower it")
        return self

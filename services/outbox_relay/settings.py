"""Settings of the relay, variables RELAY_*. Durations are in seconds unless the name says ms."""

from __future__ import annotations

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SAFETY_SECONDS = 1.0
"""What must be left of a lease when the last message of a batch has been settled."""


class RelaySettings(BaseSettings):
    """How one relay process leases lanes, polls, publishes and cleans up."""

    model_config = SettingsConfigDict(
        env_prefix="RELAY_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    id: str = Field(min_length=1, max_length=200)
    """Under which this process holds leases; no two that run may share it (the pod's name)."""
    lease_ttl_seconds: float = Field(default=10, ge=3, le=300)
    """How long lanes stay with a relay that says nothing any more."""
    message_timeout_ms: int = Field(default=4000, ge=500, le=120_000)
    """A message that is older is given up by the client, so that a process that was stopped and
    wakes up after its lease cannot send what another relay has sent since."""
    batch_size: int = Field(default=500, ge=1, le=5000)
    """Most events per batch."""
    poll_min_seconds: float = Field(default=0.025, gt=0, le=10)
    """Pause after a round with work; every empty round doubles it."""
    poll_max_seconds: float = Field(default=1.0, gt=0, le=60)
    """The longest pause; NOTIFY ends any."""
    gather_seconds: float = Field(default=0.01, ge=0, le=1)
    """Events that arrive within this time of each other share a batch and its two statements."""
    max_attempts: int = Field(default=10, ge=2, le=1000)
    """Tries of one event that ended in an error of its own before its key is parked."""
    careful_attempts: int = Field(default=3, ge=1, le=1000)
    """From this many unanswered tries on, events are tried one by one: one that kills the process
    is then known, and the events that were claimed with it are not blamed."""
    retention_days: int = Field(default=3, ge=1, le=365)
    """How long published events stay in the outbox."""
    partitions_ahead_days: int = Field(default=3, ge=1, le=30)
    """How many days' partitions are made in advance."""
    upkeep_interval_seconds: float = Field(default=600, ge=1)
    """Between two rounds of making and dropping partitions."""
    backlog_interval_seconds: float = Field(default=5, gt=0)
    """Between two measurements of the backlog, for the metrics."""
    wedged_after_seconds: float = Field(default=60, ge=5)
    """Without a turn of the loop for so long, /health fails."""

    @model_validator(mode="after")
    def _message_cannot_outlive_lease(self) -> RelaySettings:
        """RELAY_MESSAGE_TIMEOUT_MS plus one second fits into 70 % of RELAY_LEASE_TTL_SECONDS, or no
        batch would ever start; RELAY_CAREFUL_ATTEMPTS is below RELAY_MAX_ATTEMPTS."""
        if self.batch_seconds > self.lease_ttl_seconds * 0.7:
            raise ValueError(
                f"message_timeout_ms {self.message_timeout_ms} plus {SAFETY_SECONDS:g} s must fit"
                f" into 70 % of lease_ttl_seconds {self.lease_ttl_seconds:g}, or a batch never"
                " starts; raise the lease or lower the timeout"
            )
        if self.careful_attempts >= self.max_attempts:
            raise ValueError("careful_attempts must be below max_attempts")
        return self

    @property
    def batch_seconds(self) -> float:
        """What a lease must have left for a batch to begin."""
        return self.message_timeout_ms / 1000 + SAFETY_SECONDS

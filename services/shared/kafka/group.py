"""Settings of a member of a consumer group (KAFKA_*), and of the batches it takes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class GroupSettings(BaseSettings):
    """Which topics to read, and as whom."""

    model_config = SettingsConfigDict(
        env_prefix="KAFKA_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    group_id: str = Field(min_length=1)
    """The consumer group."""
    group_instance_id: str | None = None
    """Static membership: the same name gets its partitions back without a rebalance after a
    restart, and after an outage of Kafka beyond the session timeout without waiting for its own
    former session. Empty: an ordinary member."""
    client_name: str | None = None
    """What an ordinary member calls itself to the brokers (the pod's name). Empty: the name of the
    service."""
    topics: Annotated[tuple[str, ...], NoDecode]
    """Topics to read, separated by commas."""
    session_timeout_ms: int = Field(default=15_000, ge=6000, le=300_000)
    """After so long without a heartbeat the group gives a member's partitions to others."""
    leave_on_stop: bool = True
    """A member told to stop gives its partitions to the others at once. The pod of a Deployment
    keeps its name through a crash but not through a roll-out, and its partitions would rest until
    the session times out. Switch it off where names return (StatefulSet)."""
    dead_letter_topic: str = Field(min_length=1)
    """Where messages go that cannot be processed."""

    @field_validator("topics", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """KAFKA_TOPICS names at least one topic."""
        if isinstance(value, str):
            value = tuple(name.strip() for name in value.split(",") if name.strip())
            if not value:
                raise ValueError("names no topic; give a comma-separated list")
        return value


class BatchSettings(BaseSettings):
    """How much a consumer takes at once. A service inherits this under a prefix of its own."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    batch_size: int = Field(default=500, ge=1, le=5000)
    """Most messages per transaction."""
    gather_seconds: float = Field(default=0.01, ge=0, le=1)
    """Messages that arrive within this time of the first one share its transaction."""
    stalled_after_seconds: float = Field(default=60, ge=1, le=3600)
    """A client that was given nothing for so long, of partitions that go on, is replaced."""
    wedged_after_seconds: float = Field(default=120, ge=5)
    """Without a turn of the loop for so long, /health fails."""

"""Settings of the worker: KAFKA_* for its place in the group, WORKER_* for its work."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

TOPICS = (
    "resource.created",
    "resource.updated",
    "resource.deleted",
    "task.process",
    "task.completed",
)


class GroupSettings(BaseSettings):
    """Which topics to read, and as whom."""

    model_config = SettingsConfigDict(
        env_prefix="KAFKA_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    group_id: str = Field(default="event-worker", min_length=1)
    """The consumer group."""
    group_instance_id: str | None = None
    """Static membership: the same name gets its partitions back without a rebalance after a
    restart, and after an outage of Kafka beyond the session timeout without waiting for its own
    former session. Empty: an ordinary member."""
    topics: Annotated[tuple[str, ...], NoDecode] = TOPICS
    """Topics to read, separated by commas."""
    session_timeout_ms: int = Field(default=15_000, ge=6000, le=300_000)
    """After so long without a heartbeat the group gives a member's partitions to others."""
    leave_on_stop: bool = True
    """A member told to stop gives its partitions to the others at once. The pod of a Deployment
    keeps its name through a crash but not through a roll-out, and its partitions would rest until
    the session times out. Switch it off where names return (StatefulSet)."""
    dead_letter_topic: str = Field(default="events.dead-letter", min_length=1)
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


class WorkerSettings(BaseSettings):
    """Batches and deadlines."""

    model_config = SettingsConfigDict(
        env_prefix="WORKER_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    batch_size: int = Field(default=500, ge=1, le=5000)
    """Most messages per transaction."""
    gather_seconds: float = Field(default=0.01, ge=0, le=1)
    """Messages that arrive within this time of the first one share its transaction."""
    gap_deadline_seconds: float = Field(default=600, gt=0)
    """How long an event waits for a missing earlier one of its resource."""
    gap_check_seconds: float = Field(default=15, gt=0)
    """Between two looks for events that have waited so long."""
    partitions_ahead_days: int = Field(default=3, ge=1, le=30)
    """How many days' partitions are made in advance."""
    upkeep_interval_seconds: float = Field(default=600, ge=1)
    """Between two rounds of making and dropping partitions."""
    wedged_after_seconds: float = Field(default=120, ge=5)
    """Without a turn of the loop for so long, /health fails."""


class RetentionSettings(BaseSettings):
    """How long processed events are remembered: longer than Kafka can deliver one again."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    kafka_retention_hours: int = Field(default=168, ge=1)
    """How long the topics keep a message: their retention.ms."""
    worker_retention_days: int | None = Field(default=None, le=3650)
    """How long processed events are kept, counted from processing. Absent: as long as is needed."""

    @property
    def days(self) -> int:
        """For how many days after its processing an event is remembered."""
        return self.worker_retention_days or days_needed(self.kafka_retention_hours)

    @field_validator("worker_retention_days")
    @classmethod
    def _outlasts_kafka(cls, days: int | None, info: ValidationInfo) -> int | None:
        """What Kafka may still deliver is remembered: `WORKER_RETENTION_DAYS` covers
        `KAFKA_RETENTION_HOURS`, the segment they end in, and a day to spare."""
        hours = info.data.get("kafka_retention_hours")
        if days is None or hours is None or days >= (needed := days_needed(hours)):
            return days
        raise ValueError(
            f"{days} days are forgotten before Kafka forgets: with KAFKA_RETENTION_HOURS={hours} a"
            f" message may come again for {needed} days, and would be stored twice; say {needed}"
            " or more, or leave it out"
        )


# Kafka deletes whole segments, by the age of their last message, and the first may be older by
# segment.ms, seven days unless a topic says otherwise. A day more for clocks and its cleaner.
_SEGMENT_DAYS, _SPARE_DAYS = 7, 1


def days_needed(kafka_retention_hours: int) -> int:
    """The days for which a topic with that retention may still hold a message."""
    return math.ceil(kafka_retention_hours / 24) + _SEGMENT_DAYS + _SPARE_DAYS

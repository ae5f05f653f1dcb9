"""Settings of the worker alone: batches, gaps and upkeep (WORKER_*), and how long it remembers."""

from __future__ import annotations

import math

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.shared.kafka.group import BatchSettings


class WorkerSettings(BatchSettings):
    """Batches and deadlines."""

    model_config = SettingsConfigDict(
        env_prefix="WORKER_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    gap_deadline_seconds: float = Field(default=600, gt=0)
    """How long an event waits at least for a missing earlier one of its resource. After that
    it is let go once all that the one could be in has been consumed (docs/decisions/0013)."""
    gap_check_seconds: float = Field(default=15, gt=0)
    """Between two looks for events that have waited so long."""
    partitions_ahead_days: int = Field(default=3, ge=1, le=30)
    """How many days' partitions are made in advance."""
    upkeep_interval_seconds: float = Field(default=600, ge=1)
    """Between two rounds of making and dropping partitions."""


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

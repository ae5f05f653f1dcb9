"""Settings of the worker alone: its inbox and upkeep (WORKER_*), and how long it remembers."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from services.shared.inbox.settings import (
    InboxSettings,
    KafkaRetentionSettings,
    days_needed,
    outlasting,
)


class WorkerSettings(InboxSettings):
    """Batches and deadlines."""

    model_config = SettingsConfigDict(
        env_prefix="WORKER_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    partitions_ahead_days: int = Field(default=3, ge=1, le=30)
    """How many days' partitions are made in advance."""
    upkeep_interval_seconds: float = Field(default=600, ge=1)
    """Between two rounds of making and dropping partitions."""


class RetentionSettings(KafkaRetentionSettings):
    """How long processed events are remembered: longer than Kafka can deliver one again."""

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
        return outlasting(days, info.data.get("kafka_retention_hours"))

"""Settings of a service with an inbox: batches, gaps, and for how long it has to remember."""

from __future__ import annotations

import math

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.shared.kafka.group import BatchSettings


class InboxSettings(BatchSettings):
    """Batches and deadlines. A service inherits this under a prefix of its own."""

    gap_deadline_seconds: float = Field(default=600, gt=0)
    """How long an event waits at least for a missing earlier one of its aggregate. After that
    it is let go once all that the one could be in has been consumed (docs/decisions/0013)."""
    gap_check_seconds: float = Field(default=15, gt=0)
    """Between two looks for events that have waited so long."""


class KafkaRetentionSettings(BaseSettings):
    """For how long events have to be remembered. A service inherits this and says its own time."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    kafka_retention_hours: int = Field(default=168, ge=1)
    """How long the topics keep a message: their retention.ms."""


# Kafka deletes whole segments, by the age of their last message, and the first may be older by
# segment.ms, seven days unless a topic says otherwise. A day more for clocks and its cleaner.
_SEGMENT_DAYS, _SPARE_DAYS = 7, 1


def days_needed(kafka_retention_hours: int) -> int:
    """The days for which a topic with that retention may still hold a message."""
    return math.ceil(kafka_retention_hours / 24) + _SEGMENT_DAYS + _SPARE_DAYS


def outlasting(days: int | None, kafka_retention_hours: int | None) -> int | None:
    """`days`, for which events are remembered, as a validator returns them.

    None for either: it was left out, or refused already. Raises ValueError if an event that is
    forgotten could come again and have its effect twice.
    """
    if days is None or kafka_retention_hours is None:
        return days
    if days >= (needed := days_needed(kafka_retention_hours)):
        return days
    raise ValueError(
        f"{days} days are forgotten before Kafka forgets: with KAFKA_RETENTION_HOURS="
        f"{kafka_retention_hours} a message may come again for {needed} days, and would have its"
        f" effect twice; say {needed} or more, or leave it out"
    )

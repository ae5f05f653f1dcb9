"""Settings of tasks, variables TASKS_*. Durations are in seconds unless the name says days."""

from __future__ import annotations

import os
from typing import Final

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from services.shared.inbox.settings import (
    InboxSettings,
    KafkaRetentionSettings,
    days_needed,
    outlasting,
)

_MOST_PROCESSES: Final = 4


class TaskSettings(InboxSettings):
    """How tasks come from events, run, are tried again and are looked after."""

    model_config = SettingsConfigDict(
        env_prefix="TASKS_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    concurrency: int = Field(
        default_factory=lambda: min(os.cpu_count() or 1, _MOST_PROCESSES), ge=1, le=64
    )
    """Tasks that run at a time, each in a process of its own; as many as there are processors, four
    at most. The processes exist while there is work for them."""
    max_attempts: int = Field(default=5, ge=1, le=1000)
    """How often a task is begun before it is given up as failed. One whose input no attempt could
    make anything of has failed at once."""
    time_limit_seconds: float = Field(default=10, gt=0, le=3600)
    """A task without a result for so long is ended with its process; that was an attempt."""
    lease_seconds: float = Field(default=30, ge=3, le=3600)
    """How long a task stays with a process that says nothing any more, before another one may begin
    it again. Who runs it renews that three times as often."""
    retry_first_seconds: float = Field(default=1, gt=0, le=3600)
    """The longest pause before the second attempt, and half of it the shortest; each further one is
    twice as long. Tasks of the same resource wait, as they run in their order."""
    retry_most_seconds: float = Field(default=60, gt=0, le=86_400)
    """No pause is longer."""
    poll_seconds: float = Field(default=5, gt=0, le=300)
    """The longest pause between two looks for tasks. NOTIFY ends any, and so does the time at which
    one is to be tried again."""
    stop_seconds: float = Field(default=15, ge=0, le=600)
    """How long tasks that run may go on after SIGTERM; the others are given back, for whoever is
    there. Below SHUTDOWN_GRACE_SECONDS."""
    rest_seconds: float = Field(default=120, ge=1)
    """A process ends when it has had nothing to do for so long."""
    input_bytes: int = Field(default=65_536, ge=1, le=524_288)
    """Most that a caller may give a task to work on. How much an event says is bounded by Kafka."""
    page_size: int = Field(default=50, ge=1, le=1000)
    """Tasks of a page whose caller leaves it to the service."""
    page_most: int = Field(default=200, ge=1, le=1000)
    """Most tasks of a page, whatever its caller says."""
    wait_seconds: float = Field(default=30, ge=0, le=3600)
    """The longest that a call may wait for the end of the task that it asked for; it never takes
    longer than the call itself has."""
    watch_poll_seconds: float = Field(default=1, gt=0, le=300)
    """The longest pause between two looks for changed tasks while anybody watches: how late it is
    seen that an attempt has begun, or is to be tried again. Beginnings and ends ring."""
    watch_pause_seconds: float = Field(default=0.05, ge=0, le=60)
    """The shortest pause between two such looks, however many changes there are."""
    watch_renew_seconds: float = Field(default=30, gt=0, le=3600)
    """A stream that has had nothing to tell for so long has its token renewed, if tasks have
    changed meanwhile."""
    watch_page_size: int = Field(default=500, ge=1, le=10_000)
    """Changed tasks that are read at a time."""
    watch_kept: int = Field(default=1000, ge=1, le=100_000)
    """Changed tasks that are kept for a stream whose client reads slowly; when there are more, it
    reads them from the database once it comes to it."""
    upkeep_seconds: float = Field(default=60, ge=1)
    """Between two rounds of dropping old tasks."""
    look_seconds: float = Field(default=5, gt=0)
    """Between two counts of open tasks, for the metrics."""

    @model_validator(mode="after")
    def _pauses_in_order(self) -> TaskSettings:
        """TASKS_RETRY_FIRST_SECONDS is at most TASKS_RETRY_MOST_SECONDS."""
        if self.retry_first_seconds > self.retry_most_seconds:
            raise ValueError(
                f"retry_first_seconds {self.retry_first_seconds:g} is above retry_most_seconds"
                f" {self.retry_most_seconds:g}; lower the one or raise the other"
            )
        return self

    @model_validator(mode="after")
    def _the_page_is_allowed(self) -> TaskSettings:
        """TASKS_PAGE_SIZE is at most TASKS_PAGE_MOST."""
        if self.page_size > self.page_most:
            raise ValueError(
                f"page_size {self.page_size} is above page_most {self.page_most}; lower the one or"
                " raise the other"
            )
        return self


class TaskRetentionSettings(KafkaRetentionSettings):
    """How long finished tasks are kept: their events are known by them, and requests by their id
    for a day at least."""

    tasks_retention_days: int | None = Field(default=None, le=3650)
    """How long finished tasks are kept, counted from their end. Absent: as long as is needed."""

    @property
    def days(self) -> int:
        """For how many days after its end a task is kept."""
        return self.tasks_retention_days or days_needed(self.kafka_retention_hours)

    @field_validator("tasks_retention_days")
    @classmethod
    def _outlasts_kafka(cls, days: int | None, info: ValidationInfo) -> int | None:
        """An event that Kafka may still deliver has its task: `TASKS_RETENTION_DAYS` covers
        `KAFKA_RETENTION_HOURS`, the segment they end in, and a day to spare."""
        return outlasting(days, info.data.get("kafka_retention_hours"))

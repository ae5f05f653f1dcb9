"""Settings of the REST service alone."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class IdempotencySettings(BaseSettings):
    """IDEMPOTENCY_*: for how long at least the answer to a creation is remembered by its key."""

    model_config = SettingsConfigDict(env_prefix="IDEMPOTENCY_", frozen=True, extra="ignore")

    retention_hours: float = Field(default=24, ge=1, le=24 * 31)

    @property
    def retention(self) -> timedelta:
        return timedelta(hours=self.retention_hours)

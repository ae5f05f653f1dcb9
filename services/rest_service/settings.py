"""Settings of the REST service alone."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.shared.runtime.settings import DatabaseSettings


class IdempotencySettings(BaseSettings):
    """Creations that carry an Idempotency-Key."""

    model_config = SettingsConfigDict(
        env_prefix="IDEMPOTENCY_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    retention_hours: float = Field(default=24, ge=1, le=24 * 31)
    """For how long at least the answer to a creation is remembered by its key."""

    @property
    def retention(self) -> timedelta:
        return timedelta(hours=self.retention_hours)


class DataStoreSettings(DatabaseSettings):
    """The PostgreSQL database that holds documents, over TLS with the server's name verified."""

    model_config = SettingsConfigDict(
        env_prefix="DATA_STORE_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

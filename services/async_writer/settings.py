"""Settings of the asynchronous writer, variables ASYNC_WRITER_*."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.async_writer.statement import MOST_ROWS
from services.shared.kafka.group import BatchSettings


class AsyncWriterSettings(BatchSettings):
    """Batches, and how long the writer is given for what others wait for."""

    model_config = SettingsConfigDict(
        env_prefix="ASYNC_WRITER_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    batch_size: int = Field(default=500, ge=1, le=MOST_ROWS)
    """Most points of one statement."""
    gather_seconds: float = Field(default=0.05, ge=0, le=1)
    """For how long points that do not fill a batch wait for more."""
    handover_seconds: float = Field(default=5, ge=0, le=60)
    """How long partitions that go to another member are kept for the batch in hand. Below the
    session timeout: the whole group waits meanwhile."""
    dead_letters_at_a_time: int = Field(default=100, ge=1, le=1000)
    """Most dead letters that are on their way and not acknowledged."""

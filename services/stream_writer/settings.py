"""Settings of the stream writer, variables WRITER_*."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class WriterSettings(BaseSettings):
    """How one process takes documents from the stream into the database."""

    model_config = SettingsConfigDict(
        env_prefix="WRITER_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    id: str = Field(min_length=1, max_length=200)
    """Under which this process reads the stream; no two that run may share it (the pod's name)."""
    workers: int = Field(default=4, ge=1, le=32)
    """Batches that this process gathers and writes at the same time."""
    batch_size: int = Field(default=200, ge=1, le=1000)
    """Entries that make a full batch. A worker that finds one, or waits for its turn to commit,
    takes up to five times as many."""
    batch_timeout_ms: int = Field(default=50, ge=0, le=1000)
    """How long a batch that is not full waits for more."""
    commits_per_second: float = Field(default=80, ge=1, le=10_000)
    """Most commits of all writers together: below what the disk of the database can flush."""
    claim_after_seconds: float = Field(default=30, ge=1, le=3600)
    """An entry that its reader has said nothing about for so long is given to another. A reader
    speaks between two tries, and one may take 15 s while the database is silent: below that,
    entries are handed about though nobody died."""
    max_deliveries: int = Field(default=5, ge=1, le=1000)
    """Deliveries without an answer after which an entry is tried alone. If that, too, has no
    answer, the entry is taken to kill whoever touches it and goes to the dead letters."""
    copies_stay_seconds: float = Field(default=2, ge=0, le=10)
    """For how long a document can still be read from the stream once it is stored: who reads back
    what it wrote a moment ago need not ask the database. 0: not at all. A stream that is behind
    leaves no copies (batches above WRITER_BATCH_SIZE), nor does a document above 16 KiB."""
    watch_interval_seconds: float = Field(default=5, gt=0)
    """Between two measurements of the stream, for the metrics."""
    wedged_after_seconds: float = Field(default=60, ge=5)
    """Without a turn of every loop for so long, /health fails."""

    @property
    def most(self) -> int:
        """Entries that a batch may grow to while it waits for its turn."""
        return 5 * self.batch_size

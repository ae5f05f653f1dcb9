"""Settings of the ingest service alone."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.shared.documents.limits import LIMITS
from services.shared.stream.accept import MOST_PER_CALL


class IngestSettings(BaseSettings):
    """What is let in, and how long documents are cached."""

    model_config = SettingsConfigDict(
        env_prefix="INGEST_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    low_water: int = Field(default=100_000, ge=0)
    """With fewer entries in the stream than this, documents are let in again."""
    high_water: int = Field(default=150_000, ge=1)
    """From this many entries in the stream on, documents are refused (503)."""
    max_queue: int = Field(default=200_000, ge=1)
    """The fuse: never do more entries get into the stream, whatever every process believes."""
    memory_bytes: int | None = Field(default=None, ge=1)
    """What the stream's server may use: its maxmemory. Absent: its memory is not watched, and the
    server itself refuses when it is full."""
    memory_low_percent: float = Field(default=75, gt=0, lt=100)
    """With less of the memory in use than this, documents are let in again."""
    memory_high_percent: float = Field(default=85, gt=0, lt=100)
    """From this much of the memory in use on, documents are refused (503)."""
    max_documents: int = Field(default=LIMITS.max_documents, ge=1, le=MOST_PER_CALL)
    """Most documents in one request."""
    max_body_bytes: int = Field(default=LIMITS.max_body_bytes, ge=1024, le=16 * 1024 * 1024)
    """Most bytes of one request's body."""
    max_depth: int = Field(default=LIMITS.max_depth, ge=1, le=100)
    """How deep arrays and objects of a document may be nested; the document itself is the first."""
    cache_ttl_seconds: int = Field(default=300, ge=1, le=86_400)
    """How long a document stays in the shared cache. No one ever reads an old one from it."""

    page_seconds: float = Field(default=1, ge=0, le=60)
    """How old a page of the list may be; 0: the database is asked each time."""
    page_stale_seconds: float = Field(default=60, ge=0, le=3600)
    """How old it may be while the database is away."""

    @field_validator("high_water")
    @classmethod
    def _low_below_high(cls, high: int, info: ValidationInfo) -> int:
        """INGEST_LOW_WATER is below INGEST_HIGH_WATER."""
        _insist(high, "INGEST_LOW_WATER", info.data.get("low_water"))
        return high

    @field_validator("max_queue")
    @classmethod
    def _high_below_fuse(cls, fuse: int, info: ValidationInfo) -> int:
        """INGEST_HIGH_WATER is below INGEST_MAX_QUEUE."""
        _insist(fuse, "INGEST_HIGH_WATER", info.data.get("high_water"))
        return fuse

    @field_validator("memory_high_percent")
    @classmethod
    def _low_memory_below_high(cls, high: float, info: ValidationInfo) -> float:
        """INGEST_MEMORY_LOW_PERCENT is below INGEST_MEMORY_HIGH_PERCENT."""
        _insist(high, "INGEST_MEMORY_LOW_PERCENT", info.data.get("memory_low_percent"))
        return high


def _insist(value: float, lower_name: str, lower: float | None) -> None:
    if lower is not None and value <= lower:
        raise ValueError(f"{value} is not above {lower_name}={lower}; raise it or lower that one")

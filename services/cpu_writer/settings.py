"""Settings of the CPU-bound writer, variables CPU_WRITER_*, and its place in its group."""

from __future__ import annotations

import os
from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.cpu_writer.windows import Rule
from services.shared.kafka.group import GroupSettings

_MOST_PROCESSES: Final = 4
_MICROSECONDS: Final = 1_000_000


class MemberSettings(GroupSettings):
    """Which topics to read, and as whom."""

    dead_letter_topic: str = ""
    """Not used: the asynchronous writer, which reads the same messages, sets the bad ones aside."""


class CpuWriterSettings(BaseSettings):
    """Windows, and what may be used for them."""

    model_config = SettingsConfigDict(
        env_prefix="CPU_WRITER_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    window_seconds: int = Field(default=60, ge=1, le=86_400)
    """Length of a window. With another length rollups of that length are made beside those there
    are; the first is that of the first window which begins when all open ones have ended."""
    grace_seconds: int = Field(default=30, ge=0, le=86_400)
    """How much later than others of its partition a point may come and still be counted: a window
    closes when an event time of so long after its end has been seen."""
    idle_seconds: int = Field(default=30, ge=1, le=3600)
    """How much longer a window stays open when no point comes that says that it is over."""
    ahead_seconds: int = Field(default=300, ge=0, le=86_400)
    """A point that claims to be of later than the time it came by more than this is left out."""
    processes: int = Field(
        default_factory=lambda: min(os.cpu_count() or 1, _MOST_PROCESSES), ge=1, le=64
    )
    """Processes that parse points and compute rollups; as many as there are processors, four at
    most. They exist while there is work for them."""
    batch_points: int = Field(default=2000, ge=1, le=20_000)
    """Most messages that are parsed at once."""
    inline_points: int = Field(default=200, ge=0, le=20_000)
    """What is not more than this is worked on at once, in the event loop: to ask a process, and
    to keep it, would cost more."""
    held_mebibytes: int = Field(default=64, ge=1, le=65_536)
    """Most memory for the points of open windows: some 25,000 a MiB. Beyond it partitions wait for
    each other (docs/decisions/0054)."""
    rows: int = Field(default=500, ge=1, le=1000)
    """Most rollups of one statement."""
    commit_seconds: float = Field(default=5, gt=0, le=300)
    """How often what was read is committed while no window closes."""
    handover_seconds: float = Field(default=6, ge=0, le=60)
    """How long partitions that go to another member are kept for a statement in hand. Below the
    session timeout: the whole group waits meanwhile."""
    rest_seconds: float = Field(default=120, ge=1)
    """The processes end when they have had nothing to do for so long."""
    stalled_after_seconds: float = Field(default=60, ge=1, le=3600)
    """A client that was given nothing for so long, of partitions that go on, is replaced."""
    wedged_after_seconds: float = Field(default=120, ge=5)
    """Without a turn of the loop for so long, /health fails."""

    @property
    def rule(self) -> Rule:
        return Rule(
            self.window_seconds * _MICROSECONDS,
            self.grace_seconds * _MICROSECONDS,
            self.ahead_seconds * _MICROSECONDS,
        )

    @property
    def held_bytes(self) -> int:
        return self.held_mebibytes * 2**20

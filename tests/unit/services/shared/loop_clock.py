"""The event loop's clock, set forward by a test: no deadline is waited for, and none comes early
because the machine was busy."""

from __future__ import annotations

import asyncio

import pytest


class LoopClock:
    """Of the running loop, until `patch` is undone."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._ahead = 0.0
        loop = asyncio.get_running_loop()
        real = loop.time
        patch.setattr(loop, "time", lambda: real() + self._ahead)

    def forward(self, seconds: float) -> None:
        """Whatever is due within them happens in the loop's next round."""
        self._ahead += seconds

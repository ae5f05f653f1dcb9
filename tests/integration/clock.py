"""Clocks that are wrong, and days that end."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, tzinfo
from typing import Final

_DAY: Final = 86_400
_LONGEST_TEST: Final = 120
"""Seconds, many times what one takes."""


class MonthAhead(datetime):
    """The clock of a pod that is wrong by a month."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> MonthAhead:
        return cls.fromtimestamp(time.time() + 30 * 86400, tz)


async def clear_of_midnight() -> None:
    """Return with minutes left of the day (UTC), be it the next one."""
    left = _DAY - time.time() % _DAY
    if left < _LONGEST_TEST:
        await asyncio.sleep(left + 1)

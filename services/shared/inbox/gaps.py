"""When a missing event is given up: it has been waited for, and cannot be on its way.

The relay publishes the events of an aggregate in the order of their versions. What has not come
although its successor has is therefore in a partition that is not consumed yet, or it is lost. No
time tells the one from the other: catching up, or waiting for a server, may take longer than any
deadline. So a gap that is overdue waits for a line, too: where every partition of the topics
ended when it was found overdue. It is given up when the group has consumed everything before it.

The line is not drawn before some looks in a row have found every partition whole: one that has just
come back may still be without the event that a relay keeps for it and tries again within seconds.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from services.shared.inbox.consumed import Consumed, NoEvidenceError, Place
from services.shared.inbox.metrics import Metrics, counted
from services.shared.inbox.processing import Processor
from services.shared.inbox.store import Inbox, Waiting
from services.shared.runtime.logging import get_logger
from services.shared.runtime.rounds import keep_doing

log = get_logger(__name__)

_NAMED = 20
# At the 15 s between two that are usual, more than the longest rest of a relay's sick partition.
_WHOLE_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Line:
    """Events held before `horizon` came before `ends` was asked, so what they wait for did too."""

    horizon: datetime
    ends: dict[Place, int]


class Gaps:
    """Looks for gaps past their deadline and gives up those that nothing can close any more."""

    def __init__(
        self, processor: Processor, inbox: Inbox, consumed: Consumed, metrics: Metrics
    ) -> None:
        self._processor = processor
        self._inbox = inbox
        self._consumed = consumed
        self._metrics = metrics
        self._line: Line | None = None
        self._whole = 0

    async def look(self) -> None:
        """One round. Raises DatabaseUnavailableError."""
        waiting = await self._waiting()
        if not waiting.overdue:
            self._line, self._whole = None, 0
            return
        try:
            self._line = self._line or await self._draw(waiting.horizon)
            if self._line is None:
                return
            left = await asyncio.to_thread(self._consumed.left, self._line.ends)
        except NoEvidenceError as error:
            self._whole = 0
            log.warning("overdue_gaps_wait", events=waiting.overdue, reason=str(error))
            return
        if left:
            named = {f"{topic}/{number}": n for (topic, number), n in sorted(left.items())[:_NAMED]}
            log.warning("overdue_gaps_wait", events=waiting.overdue, messages_before_them=named)
            return
        await self._processor.release_gaps(self._line.horizon)
        self._line, self._whole = None, 0
        await self._waiting()

    async def _draw(self, horizon: datetime) -> Line | None:
        ends = await asyncio.to_thread(self._consumed.ends)
        self._whole += 1
        return Line(horizon, ends) if self._whole >= _WHOLE_LOOKS else None

    async def _waiting(self) -> Waiting:
        waiting = await self._inbox.waiting()
        self._metrics.inbox.held.set(waiting.held)
        self._metrics.inbox.overdue.set(waiting.overdue)
        return waiting


async def keep_closing_gaps(gaps: Gaps, metrics: Metrics, interval: float) -> None:
    """Look for overdue held events every `interval` seconds. Cancel it to stop."""

    async def look() -> None:
        with counted(metrics.database, "release_gaps"):
            await gaps.look()

    # While it fails they wait a little longer.
    await keep_doing(look, every=interval, trouble="gaps_not_released")

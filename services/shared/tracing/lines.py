"""Which of the many things that go well are worth a line of the log: a few of those recorded.

A request or a message that somebody looks for, by an id that it came with, is to be found in the
log of each service on its way. A line for each would be most of what a busy service does, and would
push the lines that say what went wrong out of what the node keeps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from services.shared.runtime import context
from services.shared.runtime.logging import get_logger
from services.shared.tracing import spans

if TYPE_CHECKING:
    from opentelemetry.trace import Span

log = get_logger(__name__)

EACH_SECOND: Final = 1.0
AT_ONCE: Final = 30


class Allowance:
    """So many at once, and then so many a second."""

    def __init__(
        self,
        each_second: float = EACH_SECOND,
        at_once: int = AT_ONCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._each_second = each_second
        self._most = self._left = float(at_once)
        self._clock = clock
        self._looked = clock()

    def take(self) -> bool:
        """Whether there is one more; then it is taken."""
        now = self._clock()
        earned = (now - self._looked) * self._each_second
        self._looked, self._left = now, min(self._most, self._left + earned)
        if self._left < 1:
            return False
        self._left -= 1
        return True


_allowance = Allowance()
"""Of the process."""


def worth_one() -> bool:
    """Whether what the task works for is recorded, and there is a line left for it."""
    return context.span() is not None and _allowance.take()


def tell(event: str, span: Span, **about: object) -> None:
    """A line about a message of a recorded trace, with its ids, if there is one left for it."""
    if _allowance.take():
        log.info(event, **about, **spans.ids(span))

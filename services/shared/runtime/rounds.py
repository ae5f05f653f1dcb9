"""Work that a service does again and again beside what it is for, whatever happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from services.shared.runtime.logging import get_logger
from services.shared.runtime.trouble import Trouble

log = get_logger(__name__)

_AGAIN_SECONDS = 30.0


async def keep_doing(
    one_round: Callable[[], Awaitable[object]], *, every: float, trouble: str
) -> None:
    """`one_round` for ever, with `every` seconds after each. Cancel it to stop.

    One that fails is logged as `trouble`, and repeated after half a minute if that is sooner.
    """
    failures = Trouble()
    while True:
        pause = every
        try:
            await one_round()
        except Exception as error:  # what it is beside goes on without it
            if failures.worth_logging(trouble):
                log.warning(trouble, error=f"{type(error).__name__}: {error}")
            pause = min(every, _AGAIN_SECONDS)
        else:
            if failures.over():
                log.info(f"{trouble}_no_more")
        await asyncio.sleep(pause)

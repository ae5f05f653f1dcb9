"""A process that archives again and again, and those who wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from services.backup.engine import Job
from services.shared.runtime import logging

# One may be under way, and the next one may have to be repeated.
_ROUNDS = 3
_LOOK_SECONDS = 1.0

Round = Callable[[], datetime]
"""Archives what there is; returns up to which moment everything is archived."""


def wait_until(job: Job, moment: datetime, reached: Callable[[], datetime | None]) -> None:
    """Until the archive reaches a moment that has passed, for as long as an archiver may take.

    Whoever goes back to a moment seconds ago is not sent away to try again. What never comes is
    for the caller to refuse: there, other things than the time may be wrong.
    """
    deadline = time.monotonic() + _ROUNDS * job.spec.archive.interval_seconds
    said = False
    while moment <= datetime.now(UTC) and time.monotonic() < deadline:
        until = reached()
        if until is None or until >= moment:
            return
        if not said:
            logging.get_logger(__name__).info(
                "waiting_for_archiver", until=moment.isoformat(), reached=until.isoformat()
            )
            said = True
        time.sleep(_LOOK_SECONDS)


def run(job: Job, one_round: Round) -> None:
    """Until SIGTERM. A server or a storage that is away is waited for."""
    # Their web server takes longer to import than most of the other actions take.
    from services.backup import rounds  # noqa: PLC0415

    asyncio.run(rounds.run(job, one_round))

"""Rows whose time is over go, some at a time."""

from __future__ import annotations

from datetime import timedelta

from services.shared.postgres.database import Database

BATCH = 1000
"""Rows of one statement: a transaction that takes milliseconds."""


async def forget(
    database: Database, statement: str, retention: timedelta, batch: int = BATCH
) -> int:
    """Run `statement` until it has deleted all that is older than `retention`; return how many.

    $1 is the retention and $2 how many rows it deletes at most; it gives one row, whose `count` is
    how many these were. Several processes may do it at once, if it skips what is locked: none waits
    for another, nor for a request that has a row in hand, so there is no order of locks to get
    wrong. Raises DatabaseUnavailableError.
    """
    total = 0
    while True:
        row = await database.fetchrow(statement, retention, batch)
        assert row is not None, "count(*) gives a row"
        total += row["count"]
        if row["count"] < batch:
            return total

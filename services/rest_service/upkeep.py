"""Forgets idempotency keys whose time is over."""

from __future__ import annotations

from datetime import timedelta

from services.shared.postgres.database import Database
from services.shared.postgres.forgetting import BATCH, forget
from services.shared.runtime.logging import get_logger
from services.shared.runtime.rounds import keep_doing

log = get_logger(__name__)

INTERVAL_SECONDS = 60.0

_FORGET = """
    WITH old AS (
        SELECT key FROM idempotency_keys WHERE created_at < now() - $1::interval
        ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ),
    gone AS (DELETE FROM idempotency_keys k USING old WHERE k.key = old.key RETURNING 1)
    SELECT count(*) FROM gone"""


async def forget_keys(database: Database, retention: timedelta, batch: int = BATCH) -> int:
    """One round: delete what is older than `retention`, `batch` at a time; return how many.

    Raises DatabaseUnavailableError.
    """
    return await forget(database, _FORGET, retention, batch)


async def keep_forgetting(database: Database, retention: timedelta) -> None:
    """forget_keys() for ever. Cancel it to stop."""

    async def forget() -> None:
        if forgotten := await forget_keys(database, retention):
            log.info("idempotency_keys_forgotten", count=forgotten)

    await keep_doing(forget, every=INTERVAL_SECONDS, trouble="upkeep_failed")

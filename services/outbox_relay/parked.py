"""The operator's commands over parked keys: list, retry, discard."""

from __future__ import annotations

import json
from typing import Any, TextIO

from services.shared.postgres.database import Database

_LIST = """
SELECT p.aggregate_id, p.event_id, p.reason, p.parked_at, d.event_type, d.aggregate_version,
       d.attempts,
       (SELECT count(*) FROM outbox_events e WHERE e.aggregate_id = p.aggregate_id
        AND e.processed_at IS NULL AND e.id <> p.event_id) AS waiting
FROM outbox_parked p LEFT JOIN outbox_dead d ON d.event_id = p.event_id
ORDER BY p.parked_at
"""
# Both commands change several tables in one statement, so that a relay sees all of it or nothing.
# The key is freed, and named in the answer, even if its event is processed or gone by now.
_RETRY = """
WITH key AS (
    DELETE FROM outbox_parked WHERE aggregate_id = coalesce($1, aggregate_id)
    RETURNING aggregate_id, event_id
),
dead AS (DELETE FROM outbox_dead d USING key WHERE d.event_id = key.event_id),
event AS (
    UPDATE outbox_events e SET attempts = 0 FROM key
    WHERE e.id = key.event_id AND e.processed_at IS NULL
)
SELECT aggregate_id, event_id FROM key ORDER BY aggregate_id
"""
_DISCARD = """
WITH key AS (DELETE FROM outbox_parked WHERE aggregate_id = $1 RETURNING event_id),
event AS (
    UPDATE outbox_events e SET processed_at = clock_timestamp() FROM key
    WHERE e.id = key.event_id AND e.processed_at IS NULL
)
SELECT event_id FROM key
"""


class NotParkedError(Exception):
    """The key named is not parked."""


async def list_parked(database: Database, out: TextIO) -> None:
    """One JSON object per parked key: the event, the reason, and how many events wait behind."""
    for row in await database.fetch(_LIST):
        record: dict[str, Any] = dict(row)
        print(json.dumps(record, default=str), file=out)


async def retry(database: Database, key: str) -> str:
    """Let the key's events be published again, the dead one first; return its id."""
    return await _change(database, _RETRY, key)


async def retry_all(database: Database) -> dict[str, str]:
    """retry() for every parked key; the event ids by key."""
    rows = await database.fetch(_RETRY, None)
    return {row["aggregate_id"]: row["event_id"] for row in rows}


async def discard(database: Database, key: str) -> str:
    """Skip the dead event for good and let the later ones go; return its id.

    The event stays in outbox_dead as the record of what was never published.
    """
    return await _change(database, _DISCARD, key)


async def _change(database: Database, statement: str, key: str) -> str:
    row = await database.fetchrow(statement, key)
    if row is None:
        raise NotParkedError(f"{key}: not parked; see `parked list`")
    return row["event_id"]

"""The worker's effect: a row of processed_events for each event."""

from __future__ import annotations

from collections.abc import Sequence

from services.contracts.topics import RESOURCE_EVENTS
from services.shared.inbox.records import Record
from services.shared.inbox.resources import verb_of
from services.shared.postgres.database import Connection

# The event's id is the primary key, and a repeat inserts nothing. ORDER BY makes seq rise in the
# order of the records. What a task is about is taken out of its payload here, not in Python: what
# was held comes back as jsonb writes it, 1e9999 as ten thousand digits, which Python refuses.
APPLY = """
INSERT INTO processed_events (id, event_type, resource_id, task_id, action, payload,
                              aggregate_version, correlation_id)
SELECT id, event_type,
       coalesce(resource_id, payload->>'resource_id'),
       CASE WHEN resource_id IS NULL THEN payload->>'task_id' END,
       coalesce(CASE WHEN resource_id IS NULL THEN payload->>'action' END, verb),
       payload, version, correlation_id
FROM (SELECT id, event_type, resource_id, verb, payload::jsonb AS payload, version, correlation_id,
             place
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[],
                  $7::text[]) WITH ORDINALITY
           AS t(id, event_type, resource_id, verb, payload, version, correlation_id, place)) AS e
ORDER BY place
ON CONFLICT (id) DO NOTHING
RETURNING id::text AS id
"""


class ProcessedEvents:
    """Rows of events; an Effect."""

    async def apply(self, connection: Connection, records: Sequence[Record]) -> set[str]:
        """Store those that are not stored yet, in one statement; their ids."""
        rows = await connection.fetch(
            APPLY,
            [r.id for r in records],
            [r.event_type for r in records],
            [r.aggregate if r.event_type in RESOURCE_EVENTS else None for r in records],
            [verb_of(r.event_type) for r in records],
            [r.payload for r in records],
            [r.version for r in records],
            [r.correlation_id for r in records],
        )
        return {row["id"] for row in rows}

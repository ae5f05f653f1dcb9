"""The relay's SQL over outbox_events: one statement to claim a batch and one to mark it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.outbox_relay.outcomes import OutboxEvent
from services.shared.database import Database
from services.shared.events import Envelope

BACKLOG_LIMIT = 100_000
"""The unsent gauge stops counting here: an exact number would cost more than it tells."""

PLANNER = {
    "enable_sort": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
"""Session settings for the relay's connections. Statistics are taken while next to nothing is
unsent, so after an outage the planner expects one row where there are a hundred thousand, and
reads and sorts all of them for every batch. The plan that follows the indexes is always good."""

# The lanes of $1 whose lease is still the one of token $2 and owner $3. Every statement that
# changes an event goes through it, so a relay that lost a lane changes nothing there.
_HELD = """
    SELECT l.lane FROM relay_lease l
    JOIN unnest($1::smallint[], $2::bigint[]) AS t(lane, token) USING (lane)
    WHERE l.token = t.token AND l.owner = $3"""

# "processed_at IS NULL", written so that the planner does not see it: it would read the index of
# all that is unsent rather than look the ids up.
_UNSENT = "coalesce(e.processed_at, 'infinity') = 'infinity'"

# A prefix of every lane, merged. LATERAL keeps each lane an index scan that ends after a few
# rows, however long the backlog. The attempt is counted here, before the try, so that an event
# which kills the process is counted too. = ANY(ARRAY(…)) makes the planner use the primary key.
_CLAIM = f"""
WITH held AS MATERIALIZED ({_HELD} AND l.expires_at > clock_timestamp() + $4::interval),
candidate AS MATERIALIZED (
    SELECT c.id, c.seq, c.attempts FROM held CROSS JOIN LATERAL (
        SELECT e.id, e.seq, e.attempts FROM outbox_events e
        WHERE e.lane = held.lane AND e.processed_at IS NULL
          AND e.aggregate_id <> ALL ($5::text[])
          AND NOT EXISTS (SELECT 1 FROM outbox_parked p WHERE p.aggregate_id = e.aggregate_id)
        ORDER BY e.seq LIMIT $6) c
    ORDER BY c.seq LIMIT $7
),
picked AS (
    SELECT q.id FROM (
        SELECT id, row_number() OVER (ORDER BY seq) AS place,
               bool_or(attempts >= $8) OVER () AS careful FROM candidate) q
    WHERE q.place = 1 OR NOT q.careful
)
UPDATE outbox_events e SET attempts = e.attempts + 1
WHERE e.id = ANY (ARRAY(SELECT id FROM picked)) AND {_UNSENT}
RETURNING e.id, e.seq, e.lane, e.aggregate_id, e.aggregate_version, e.event_type,
          e.payload::text AS payload, e.correlation_id, e.traceparent, e.attempts, e.created_at
"""  # noqa: S608 - composed of constants

_MARK = f"""
WITH held AS MATERIALIZED ({_HELD})
UPDATE outbox_events e SET processed_at = clock_timestamp()
WHERE e.id = ANY ($4::text[]) AND {_UNSENT} AND e.lane IN (SELECT lane FROM held)
"""  # noqa: S608

_REFUND = f"""
WITH held AS MATERIALIZED ({_HELD})
UPDATE outbox_events e SET attempts = greatest(e.attempts - 1, 0)
WHERE e.id = ANY ($4::text[]) AND {_UNSENT} AND e.lane IN (SELECT lane FROM held)
"""  # noqa: S608

# The event's row stays unprocessed: it keeps its place before the later events of its key, and
# its partition, until an operator says what to do (parked.py).
_PARK = f"""
WITH held AS MATERIALIZED ({_HELD}),
event AS MATERIALIZED (
    SELECT * FROM outbox_events e
    WHERE e.id = $4 AND {_UNSENT} AND e.lane IN (SELECT lane FROM held)
),
dead AS (
    INSERT INTO outbox_dead (event_id, aggregate_id, aggregate_version, event_type, payload,
                             correlation_id, traceparent, error, attempts, parked_at)
    SELECT id, aggregate_id, aggregate_version, event_type, payload,
           correlation_id, traceparent, $5, attempts, clock_timestamp() FROM event
    ON CONFLICT (event_id) DO UPDATE
    SET error = excluded.error, attempts = excluded.attempts, parked_at = excluded.parked_at
)
INSERT INTO outbox_parked (aggregate_id, event_id, reason, parked_at)
SELECT aggregate_id, id, $5, clock_timestamp() FROM event
ON CONFLICT (aggregate_id) DO NOTHING
"""  # noqa: S608

_BACKLOG = """
SELECT
    (SELECT count(*) FROM (
        SELECT 1 FROM outbox_events e WHERE e.processed_at IS NULL
          AND NOT EXISTS (SELECT 1 FROM outbox_parked p WHERE p.aggregate_id = e.aggregate_id)
        LIMIT $1) q) AS unsent,
    (SELECT extract(epoch FROM clock_timestamp() - min(first.created_at))::float8
     FROM relay_lease l CROSS JOIN LATERAL (
        SELECT e.created_at FROM outbox_events e
        WHERE e.lane = l.lane AND e.processed_at IS NULL
          AND NOT EXISTS (SELECT 1 FROM outbox_parked p WHERE p.aggregate_id = e.aggregate_id)
        ORDER BY e.seq LIMIT 1) first) AS oldest,
    (SELECT count(*) FROM outbox_parked) AS parked
"""


@dataclass(frozen=True, slots=True)
class Backlog:
    """unsent: events waiting, parked keys aside. oldest_seconds: age of the oldest of them."""

    unsent: int
    oldest_seconds: float
    parked_keys: int


def _affected(status: str) -> int:
    """The row count at the end of a command tag such as "UPDATE 500"."""
    return int(status.rsplit(" ", 1)[1])


class OutboxStore:
    """Statements over the outbox of `database` in the name of `owner`.

    Every method is one SQL statement and one transaction. `lanes` maps lane to fencing token.
    All raise DatabaseUnavailableError.
    """

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self._owner = owner

    async def claim(
        self,
        lanes: Mapping[int, int],
        *,
        lease_left: float,
        resting_keys: Sequence[str],
        limit: int,
        careful_attempts: int,
    ) -> list[OutboxEvent]:
        """Count an attempt on the next events of `lanes` and return them in publishing order.

        Lanes whose lease has less than `lease_left` seconds to run give nothing. At most `limit`
        events, and one alone while any of them has `careful_attempts` unanswered tries.
        """
        per_lane = max(64, -(-limit // max(1, len(lanes))))
        rows = await self._database.fetch(
            _CLAIM,
            list(lanes),
            list(lanes.values()),
            self._owner,
            timedelta(seconds=lease_left),
            list(resting_keys),
            min(per_lane, limit),
            limit,
            careful_attempts,
        )
        events = [
            OutboxEvent(
                event=Envelope(
                    id=row["id"],
                    type=row["event_type"],
                    aggregate_id=row["aggregate_id"],
                    aggregate_version=row["aggregate_version"],
                    payload=row["payload"],
                    traceparent=row["traceparent"],
                    correlation_id=row["correlation_id"],
                ),
                lane=row["lane"],
                seq=row["seq"],
                attempts=row["attempts"],
                created_at=row["created_at"],
            )
            for row in rows
        ]
        events.sort(key=lambda event: event.seq)
        return events

    async def mark(self, lanes: Mapping[int, int], events: Sequence[OutboxEvent]) -> int:
        """Mark `events` processed where the lane is still ours; return how many were."""
        return await self._on_events(_MARK, lanes, [event.event.id for event in events])

    async def refund(self, lanes: Mapping[int, int], events: Sequence[OutboxEvent]) -> int:
        """Take back the attempt counted on `events`; return how many rows changed."""
        return await self._on_events(_REFUND, lanes, [event.event.id for event in events])

    async def park(self, lanes: Mapping[int, int], event: OutboxEvent, reason: str) -> bool:
        """Record `event` as dead and set its key aside; False when the lane is no longer ours."""
        return await self._on_events(_PARK, lanes, event.event.id, reason[:2000]) > 0

    async def backlog(self) -> Backlog:
        """How much waits, counted up to BACKLOG_LIMIT."""
        row = await self._database.fetchrow(_BACKLOG, BACKLOG_LIMIT)
        if row is None:
            return Backlog(0, 0.0, 0)
        return Backlog(row["unsent"], max(0.0, row["oldest"] or 0.0), row["parked"])

    async def _on_events(self, statement: str, lanes: Mapping[int, int], *rest: object) -> int:
        async with self._database.connection() as connection:
            return _affected(
                await connection.execute(
                    statement, list(lanes), list(lanes.values()), self._owner, *rest
                )
            )

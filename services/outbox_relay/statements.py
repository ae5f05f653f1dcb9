"""The relay's SQL over outbox_events."""

from __future__ import annotations

# The lanes of $1 whose lease is still the one of token $2 and owner $3. Every statement that
# changes an event goes through it, so a relay that lost a lane changes nothing there.
LEASED = """
    SELECT l.lane FROM relay_lease l
    JOIN unnest($1::smallint[], $2::bigint[]) AS t(lane, token) USING (lane)
    WHERE l.token = t.token AND l.owner = $3"""

# "processed_at IS NULL", written so that the planner does not see it: it would read the index of
# all that is unsent rather than look the ids up.
UNSENT = "coalesce(e.processed_at, 'infinity') = 'infinity'"

_EVENT = """
RETURNING e.id, e.seq, e.lane, e.aggregate_id, e.aggregate_version, e.event_type,
          e.payload::text AS payload, e.correlation_id, e.traceparent, e.attempts, e.created_at"""

# A prefix of every lane, merged. LATERAL keeps each lane an index scan that ends after a few
# rows, however long the backlog. The attempt is counted here, before the try, so that an event
# which kills the process is counted too. = ANY(ARRAY(…)) makes the planner use the primary key.
CLAIM = f"""
WITH leased AS MATERIALIZED ({LEASED} AND l.expires_at > clock_timestamp() + $4::interval),
candidate AS MATERIALIZED (
    SELECT c.id, c.seq, c.attempts FROM leased CROSS JOIN LATERAL (
        SELECT e.id, e.seq, e.attempts FROM outbox_events e
        WHERE e.lane = leased.lane AND e.processed_at IS NULL
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
WHERE e.id = ANY (ARRAY(SELECT id FROM picked)) AND {UNSENT}
{_EVENT}
"""  # noqa: S608 - composed of constants

# The first events of every lane after some seq, whatever they wait for, and what the snapshot saw.
LOOK = """
WITH leased AS MATERIALIZED (
    SELECT l.lane, t.after FROM relay_lease l
    JOIN unnest($1::smallint[], $2::bigint[], $5::bigint[]) AS t(lane, token, after) USING (lane)
    WHERE l.token = t.token AND l.owner = $3 AND l.expires_at > clock_timestamp() + $4::interval
)
SELECT c.*, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest,
       pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next
FROM leased CROSS JOIN LATERAL (
    SELECT e.id, e.lane, e.seq, e.aggregate_id, e.event_type, e.attempts,
           EXISTS (SELECT 1 FROM outbox_parked p WHERE p.aggregate_id = e.aggregate_id) AS parked
    FROM outbox_events e
    WHERE e.lane = leased.lane AND e.processed_at IS NULL AND e.seq > leased.after
    ORDER BY e.seq LIMIT $6) c
ORDER BY c.seq
"""

# CLAIM for events that a LOOK has shown. Their keys may have been parked since: a later event of a
# parked one would overtake it.
TAKE = f"""
WITH leased AS MATERIALIZED ({LEASED} AND l.expires_at > clock_timestamp() + $4::interval)
UPDATE outbox_events e SET attempts = e.attempts + 1
WHERE e.id = ANY ($5::text[]) AND {UNSENT} AND e.lane IN (SELECT lane FROM leased)
  AND NOT EXISTS (SELECT 1 FROM outbox_parked p WHERE p.aggregate_id = e.aggregate_id)
{_EVENT}
"""  # noqa: S608

MARK = f"""
WITH leased AS MATERIALIZED ({LEASED})
UPDATE outbox_events e SET processed_at = clock_timestamp()
WHERE e.id = ANY ($4::text[]) AND {UNSENT} AND e.lane IN (SELECT lane FROM leased)
"""  # noqa: S608

REFUND = f"""
WITH leased AS MATERIALIZED ({LEASED})
UPDATE outbox_events e SET attempts = greatest(e.attempts - 1, 0)
WHERE e.id = ANY ($4::text[]) AND {UNSENT} AND e.lane IN (SELECT lane FROM leased)
"""  # noqa: S608

# The event's row stays unprocessed: it keeps its place before the later events of its key, and
# its partition, until an operator says what to do (parked.py).
PARK = f"""
WITH leased AS MATERIALIZED ({LEASED}),
event AS MATERIALIZED (
    SELECT * FROM outbox_events e
    WHERE e.id = $4 AND {UNSENT} AND e.lane IN (SELECT lane FROM leased)
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

BACKLOG = """
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

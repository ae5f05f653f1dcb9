"""The SQL of an inbox's transactions; store.py says in what order."""

from __future__ import annotations

# Rows are made and locked in sorted order, so that two instances with aggregates in common wait for
# each other and never in a circle.
CREATE = """
INSERT INTO inbox_progress (aggregate)
SELECT a FROM unnest($1::text[]) WITH ORDINALITY AS t(a, place) ORDER BY place
ON CONFLICT (aggregate) DO NOTHING
"""
LOCK = """
SELECT aggregate, version, ended FROM inbox_progress
WHERE aggregate = ANY ($1::text[]) ORDER BY aggregate FOR UPDATE
"""
# What is held for an aggregate may be much: it is read only when its turn may have come, that is
# when its lowest version is at most $2, and then a part at a time, from the lowest.
HELD = """
SELECT h.*, false AS overdue
FROM unnest($1::text[], $2::bigint[]) AS t(aggregate, upto)
CROSS JOIN LATERAL (
    SELECT aggregate, version, id::text AS id, event_type, payload::text AS payload, last,
           correlation_id, traceparent, held_at
    FROM inbox_held WHERE aggregate = t.aggregate ORDER BY version, id LIMIT $3) AS h
WHERE EXISTS (
    SELECT 1 FROM inbox_held WHERE aggregate = t.aggregate AND version <= t.upto)
ORDER BY h.aggregate, h.version, h.held_at
"""
# Overdue is also what waits before something overdue.
HELD_LONG = """
SELECT h.*, h.version <= t.upto AS overdue
FROM (SELECT aggregate, max(version) AS upto FROM inbox_held
      WHERE aggregate = ANY ($1::text[]) AND held_at < $2::timestamptz
      GROUP BY aggregate) AS t
CROSS JOIN LATERAL (
    SELECT aggregate, version, id::text AS id, event_type, payload::text AS payload, last,
           correlation_id, traceparent, held_at
    FROM inbox_held WHERE aggregate = t.aggregate ORDER BY version, id LIMIT $3) AS h
ORDER BY h.aggregate, h.version, h.held_at
"""
PROGRESS = """
UPDATE inbox_progress p
SET version = t.version, ended = t.ended, updated_at = clock_timestamp()
FROM unnest($1::text[], $2::bigint[], $3::boolean[]) AS t(aggregate, version, ended)
WHERE p.aggregate = t.aggregate
"""
HOLD = """
INSERT INTO inbox_held (id, event_type, aggregate, version, payload, last, correlation_id,
                        traceparent)
SELECT id, event_type, aggregate, version, payload::jsonb, last, correlation_id, traceparent
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::boolean[],
            $7::text[], $8::text[])
     AS t(id, event_type, aggregate, version, payload, last, correlation_id, traceparent)
ON CONFLICT DO NOTHING
RETURNING id::text AS id
"""
LIFT = "DELETE FROM inbox_held WHERE aggregate = ANY ($1::text[]) AND id = ANY ($2::uuid[])"
OVERDUE = """
SELECT aggregate, version, ended FROM inbox_progress
WHERE aggregate IN (
    SELECT aggregate FROM inbox_held WHERE held_at < $1::timestamptz
    ORDER BY held_at LIMIT $2)
ORDER BY aggregate FOR UPDATE SKIP LOCKED
"""
WAITING = """
SELECT count(*) AS held, count(*) FILTER (WHERE held_at < now() - $1::interval) AS overdue,
       now() - $1::interval AS horizon
FROM inbox_held
"""
FORGET = """
DELETE FROM inbox_progress WHERE aggregate IN (
    SELECT aggregate FROM inbox_progress p
    WHERE ended AND updated_at < clock_timestamp() - $1::interval
      AND NOT EXISTS (SELECT 1 FROM inbox_held h WHERE h.aggregate = p.aggregate)
    ORDER BY aggregate LIMIT 10000 FOR UPDATE SKIP LOCKED)
"""

"""The SQL of the worker's transactions; store.py says in what order."""

from __future__ import annotations

# Rows are made and locked in sorted order, so that two workers with resources in common wait for
# each other and never in a circle.
CREATE = """
INSERT INTO resource_progress (resource_id)
SELECT r FROM unnest($1::text[]) WITH ORDINALITY AS t(r, place) ORDER BY place
ON CONFLICT (resource_id) DO NOTHING
"""
LOCK = """
SELECT resource_id, version, deleted FROM resource_progress
WHERE resource_id = ANY ($1::text[]) ORDER BY resource_id FOR UPDATE
"""
# What is held for a resource may be much: it is read only when its turn may have come, that is
# when its lowest version is at most $2, and then a part at a time, from the lowest.
HELD = """
SELECT h.*, false AS overdue
FROM unnest($1::text[], $2::bigint[]) AS t(resource_id, upto)
CROSS JOIN LATERAL (
    SELECT resource_id, version, id::text AS id, event_type, task_id, action,
           payload::text AS payload, correlation_id, held_at
    FROM held_events WHERE resource_id = t.resource_id ORDER BY version, id LIMIT $3) AS h
WHERE EXISTS (
    SELECT 1 FROM held_events WHERE resource_id = t.resource_id AND version <= t.upto)
ORDER BY h.resource_id, h.version, h.held_at
"""
# Overdue is also what waits before something overdue.
HELD_LONG = """
SELECT h.*, h.version <= t.upto AS overdue
FROM (SELECT resource_id, max(version) AS upto FROM held_events
      WHERE resource_id = ANY ($1::text[]) AND held_at < $2::timestamptz
      GROUP BY resource_id) AS t
CROSS JOIN LATERAL (
    SELECT resource_id, version, id::text AS id, event_type, task_id, action,
           payload::text AS payload, correlation_id, held_at
    FROM held_events WHERE resource_id = t.resource_id ORDER BY version, id LIMIT $3) AS h
ORDER BY h.resource_id, h.version, h.held_at
"""
# Inbox and effect are one row here: the event's id is the primary key, and a repeat inserts
# nothing. ORDER BY makes seq rise in the order of `apply`.
APPLY = """
INSERT INTO processed_events (id, event_type, resource_id, task_id, action, payload,
                              aggregate_version, correlation_id)
SELECT id, event_type, resource_id, task_id, action, payload::jsonb, version, correlation_id
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
            $8::text[]) WITH ORDINALITY
     AS t(id, event_type, resource_id, task_id, action, payload, version, correlation_id, place)
ORDER BY place
ON CONFLICT (id) DO NOTHING
RETURNING id::text AS id
"""
PROGRESS = """
UPDATE resource_progress p
SET version = t.version, deleted = t.deleted, updated_at = clock_timestamp()
FROM unnest($1::text[], $2::bigint[], $3::boolean[]) AS t(resource_id, version, deleted)
WHERE p.resource_id = t.resource_id
"""
HOLD = """
INSERT INTO held_events (id, event_type, resource_id, task_id, action, payload, version,
                         correlation_id)
SELECT id, event_type, resource_id, task_id, action, payload::jsonb, version, correlation_id
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
            $8::text[])
     AS t(id, event_type, resource_id, task_id, action, payload, version, correlation_id)
ON CONFLICT DO NOTHING
RETURNING id::text AS id
"""
LIFT = "DELETE FROM held_events WHERE resource_id = ANY ($1::text[]) AND id = ANY ($2::uuid[])"
OVERDUE = """
SELECT resource_id, version, deleted FROM resource_progress
WHERE resource_id IN (
    SELECT resource_id FROM held_events WHERE held_at < $1::timestamptz
    ORDER BY held_at LIMIT $2)
ORDER BY resource_id FOR UPDATE SKIP LOCKED
"""
WAITING = """
SELECT count(*) AS held, count(*) FILTER (WHERE held_at < now() - $1::interval) AS overdue,
       now() - $1::interval AS horizon
FROM held_events
"""
FORGET = """
DELETE FROM resource_progress WHERE resource_id IN (
    SELECT resource_id FROM resource_progress p
    WHERE deleted AND updated_at < clock_timestamp() - $1::interval
      AND NOT EXISTS (SELECT 1 FROM held_events h WHERE h.resource_id = p.resource_id)
    ORDER BY resource_id LIMIT 10000 FOR UPDATE SKIP LOCKED)
"""

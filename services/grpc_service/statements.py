"""The SQL of tasks.

The row of a task's resource is its queue, and the only thing that anybody waits for: whoever makes,
claims or finishes a task changes that row first, and reads there what the tasks' own rows might say
as they were before it waited. So the events of a resource's tasks are numbered without a gap in the
order of their commits, and of each resource one task at most, the first that is not done, is due.
Many rows are locked in the order of their ids, so writers wait for each other and never in a
circle; a claim waits for nobody.
"""

from __future__ import annotations

from services.contracts.topics import RESOURCE_DELETED, TASK_COMPLETED, TASK_FAILED, TASK_PROCESS
from services.grpc_service.model import Status
from services.shared.inbox.resources import verb_of
from services.shared.outbox.events import with_event, with_events
from services.shared.outbox.wakeup import CHANNEL

COLUMNS = """t.id AS task_id, t.resource_id, t.action, t.status, t.number, t.attempts, t.result,
           t.error, t.correlation_id, t.traceparent, t.change, t.created_at, t.updated_at"""
_CHANGED = "change = pg_current_xact_id(), updated_at = clock_timestamp()"
_PAYLOAD = """jsonb_build_object('task_id', r.task_id, 'resource_id', r.id, 'action', r.action,
                               'status', '{}'{})"""
_PENDING = _PAYLOAD.format(Status.PENDING, "")
_LAST = verb_of(RESOURCE_DELETED)

# Two with one request id at the same time: the one that comes second to the index is refused whole,
# numbers and all, and looks up what the first has made.
CREATE = with_event(
    "SELECT t.resource_id AS id, t.task_id, t.action, q.version FROM t CROSS JOIN q",
    TASK_PROCESS,
    _PENDING,
    """r.id, x.* FROM (SELECT 1) AS one LEFT JOIN r ON true
       LEFT JOIN (SELECT * FROM t UNION ALL SELECT * FROM known) AS x ON true""",
    before=f"""known AS (
            SELECT {COLUMNS}, t.request_digest FROM tasks t WHERE t.request_id = $9::uuid
        ),
        q AS (
            INSERT INTO task_resources AS q (resource_id, version, queued, due_at)
            SELECT $1::text, 1, 1, clock_timestamp() WHERE NOT EXISTS (SELECT 1 FROM known)
            ON CONFLICT (resource_id) DO UPDATE
            SET version = q.version + 1, queued = q.queued + 1,
                due_at = coalesce(q.due_at, clock_timestamp())
            WHERE NOT q.ended
            RETURNING q.version, q.queued
        ),
        t AS (
            INSERT INTO tasks AS t (id, resource_id, action, number, input, request_id,
                                    request_digest, correlation_id, traceparent)
            SELECT $7::text, $1::text, $8::text, q.queued, $10::text, $9::uuid, $11::bytea,
                   $4::text, $5::text
            FROM q
            RETURNING {COLUMNS}, t.request_digest
        ),""",  # noqa: S608
)
"""write()'s parameters, then: the task's id, action, request id, input, request digest."""
KNOWN = f"""SELECT NULL AS id, {COLUMNS}, t.request_digest
            FROM tasks t WHERE t.request_id = $1::uuid"""  # noqa: S608

# Of many resources at once, for OF_EVENTS.
QUEUES = """
INSERT INTO task_resources (resource_id)
SELECT id FROM unnest($1::text[]) AS t(id) ORDER BY id COLLATE "C"
ON CONFLICT (resource_id) DO NOTHING
"""
LOCK = """
SELECT resource_id FROM task_resources WHERE resource_id = ANY ($1::text[])
ORDER BY resource_id FOR UPDATE
"""
# A statement of its own: its snapshot must be younger than the locks, to see the queues as they are
# and all events that have a task already.
OF_EVENTS = with_events(
    """SELECT resource_id AS id, version + nth AS version, process_id AS event_id, lane,
              correlation_id, traceparent, place, task_id, action, cause
       FROM f""",
    TASK_PROCESS,
    _PENDING,
    "r.cause::text AS id, r.action FROM r",
    before=f"""given AS (
            SELECT DISTINCT ON (cause) *
            FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                        $7::text[], $8::text[], $9::smallint[]) WITH ORDINALITY
                 AS g(cause, resource_id, action, input, correlation_id, traceparent, task_id,
                      process_id, lane, place)
            WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE event_id = g.cause)
            ORDER BY cause, place
        ),
        f AS (
            SELECT g.*, q.version, q.queued,
                   row_number() OVER (PARTITION BY g.resource_id ORDER BY g.place) AS nth
            FROM given g JOIN task_resources q ON q.resource_id = g.resource_id
        ),
        q AS (
            UPDATE task_resources q
            SET version = q.version + n.many, queued = q.queued + n.many,
                due_at = coalesce(q.due_at, clock_timestamp()), ended = q.ended OR n.ends
            FROM (SELECT resource_id, count(*) AS many, bool_or(action = '{_LAST}') AS ends
                  FROM f GROUP BY resource_id) AS n
            WHERE q.resource_id = n.resource_id
        ),
        t AS (
            INSERT INTO tasks (id, resource_id, action, number, input, event_id, correlation_id,
                               traceparent)
            SELECT task_id, resource_id, action, queued + nth, input, cause, correlation_id,
                   traceparent
            FROM f ORDER BY place
        ),""",  # noqa: S608
)

# `done` is read under the lock. A task that is not visible yet was committed since this began: its
# NOTIFY comes, or another look.
CLAIM = f"""
WITH due AS (
    SELECT resource_id, done + 1 AS number FROM task_resources
    WHERE done < queued AND due_at <= now() ORDER BY due_at LIMIT $1
    FOR UPDATE SKIP LOCKED
),
t AS (
    UPDATE tasks t SET status = 'running', attempts = t.attempts + 1, {_CHANGED}
    FROM due WHERE t.resource_id = due.resource_id AND t.number = due.number
    RETURNING {COLUMNS}, t.input
),
q AS (
    UPDATE task_resources q
    SET owner = $2, token = q.token + 1, due_at = clock_timestamp() + $3::interval
    FROM t WHERE q.resource_id = t.resource_id
    RETURNING q.resource_id, q.token
)
SELECT t.*, q.token FROM t JOIN q ON q.resource_id = t.resource_id
"""  # noqa: S608
NEXT_DUE = """
SELECT extract(epoch FROM due_at - clock_timestamp())::float8 AS seconds
FROM task_resources WHERE done < queued ORDER BY due_at LIMIT 1
"""
_OURS = """
    SELECT q.resource_id FROM task_resources q
    JOIN unnest($1::text[], $2::bigint[]) AS g(resource_id, token)
         ON q.resource_id = g.resource_id AND q.token = g.token
    WHERE q.owner IS NOT NULL ORDER BY q.resource_id FOR UPDATE OF q
"""
RENEW = f"""
WITH ours AS ({_OURS})
UPDATE task_resources q SET due_at = clock_timestamp() + $3::interval
FROM ours WHERE q.resource_id = ours.resource_id
"""  # noqa: S608
RELEASE = f"""
WITH ours AS ({_OURS}),
q AS (
    UPDATE task_resources q SET owner = NULL, due_at = clock_timestamp()
    FROM ours WHERE q.resource_id = ours.resource_id
    RETURNING q.resource_id, q.done
),
t AS (
    UPDATE tasks t SET status = 'pending', attempts = t.attempts - 1, {_CHANGED}
    FROM q WHERE t.resource_id = q.resource_id AND t.number = q.done + 1
    RETURNING 1
)
SELECT count(pg_notify('{CHANNEL}', '')) AS count FROM t
"""  # noqa: S608
RETRY = f"""
WITH q AS (
    UPDATE task_resources q SET owner = NULL, due_at = clock_timestamp() + $4::interval
    WHERE q.resource_id = $1 AND q.token = $2 AND q.owner IS NOT NULL
    RETURNING q.resource_id, q.done
)
UPDATE tasks t SET status = 'pending', error = $3, {_CHANGED}
FROM q WHERE t.resource_id = q.resource_id AND t.number = q.done + 1
RETURNING {COLUMNS}
"""  # noqa: S608


def _finish(status: Status, event_type: str, outcome: str) -> str:
    """write()'s parameters, then: the token, and the text of `outcome`, result or error."""
    other = "error" if outcome == "result" else "result"
    return with_event(
        f"""UPDATE tasks t SET status = '{status}', {outcome} = $8, {other} = NULL, {_CHANGED}
            FROM q WHERE t.resource_id = q.resource_id AND t.number = q.done
            RETURNING t.resource_id AS id, q.version, {COLUMNS}""",  # noqa: S608
        event_type,
        _PAYLOAD.format(status, f", '{outcome}', r.{outcome}"),
        "r.* FROM (SELECT 1) AS one LEFT JOIN r ON true",
        before="""q AS (
            UPDATE task_resources q
            SET version = q.version + 1, done = q.done + 1, owner = NULL,
                due_at = CASE WHEN q.queued > q.done + 1 THEN clock_timestamp() END
            WHERE q.resource_id = $1 AND q.token = $7 AND q.owner IS NOT NULL
            RETURNING q.resource_id, q.version, q.done
        ),""",
    )


COMPLETE = _finish(Status.COMPLETED, TASK_COMPLETED, "result")
FAIL = _finish(Status.FAILED, TASK_FAILED, "error")

GET = f"SELECT {COLUMNS} FROM tasks t WHERE t.id = $1"  # noqa: S608


def page(status: Status | None, *filters: str) -> str:
    """A page of tasks, newest first: below the id $1, $2 at most, whose columns `filters` are $3, …

    A status is written out: an index of some statuses is of no use to a parameter.
    """
    conditions = ["t.id < $1", *(f"t.{name} = ${place}" for place, name in enumerate(filters, 3))]
    if status is not None:
        conditions.append(f"t.status = '{status}'")
    where = " AND ".join(conditions)
    return f"SELECT {COLUMNS} FROM tasks t WHERE {where} ORDER BY t.id DESC LIMIT $2"  # noqa: S608


# What is open may be much: past $1 it is said to be that many. The order is that of the index of
# what is open, without which all tasks might be looked through for it.
OPEN = """
SELECT (SELECT count(*) FROM (
            SELECT 1 FROM tasks WHERE status IN ('pending', 'running')
            ORDER BY id LIMIT $1) AS few) AS count,
       (SELECT extract(epoch FROM clock_timestamp() - created_at)::float8
        FROM tasks WHERE status IN ('pending', 'running') ORDER BY id LIMIT 1) AS oldest_seconds
"""
FORGET = """
WITH old AS (
    SELECT id FROM tasks
    WHERE status IN ('completed', 'failed') AND updated_at < now() - $1::interval
    ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED
),
gone AS (DELETE FROM tasks WHERE id = ANY (ARRAY(SELECT id FROM old)) RETURNING 1)
SELECT count(*) FROM gone
"""

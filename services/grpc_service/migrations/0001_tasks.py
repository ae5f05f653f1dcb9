"""Tasks, the queue of each resource, and the outbox and inbox of their service."""

from __future__ import annotations

from alembic import op

from services.shared.inbox import ddl as inbox
from services.shared.outbox import ddl as outbox

revision = "0001"
down_revision = None


def upgrade() -> None:
    outbox.upgrade_v1(op)
    inbox.upgrade_v1(op)
    # A row per resource: how far its events are numbered, its tasks queued and done, and when, by
    # whom and under which token the first task that is not done may be, or was, claimed.
    op.execute("""
        CREATE TABLE task_resources (
            resource_id varchar(100) COLLATE "C" PRIMARY KEY,
            version bigint NOT NULL DEFAULT 0,
            queued bigint NOT NULL DEFAULT 0,
            done bigint NOT NULL DEFAULT 0,
            ended boolean NOT NULL DEFAULT false,
            due_at timestamptz,
            owner text,
            token bigint NOT NULL DEFAULT 0,
            CHECK (done <= queued),
            CHECK ((due_at IS NULL) = (done = queued))
        ) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0,
                autovacuum_vacuum_threshold = 2000)""")
    op.execute("CREATE INDEX task_resources_due ON task_resources (due_at) WHERE done < queued")

    # What was given is kept as text: jsonb would refuse some of it, and write out numbers in full.
    op.execute("""
        CREATE TABLE tasks (
            id varchar(100) COLLATE "C" PRIMARY KEY,
            resource_id varchar(100) COLLATE "C" NOT NULL,
            action varchar(100) NOT NULL,
            status varchar(50) NOT NULL DEFAULT 'pending'
                CHECK (status IN ('pending', 'running', 'completed', 'failed')),
            result text,
            error text,
            number bigint NOT NULL,
            attempts integer NOT NULL DEFAULT 0,
            input text NOT NULL,
            event_id uuid,
            request_id uuid,
            request_digest bytea,
            correlation_id text,
            traceparent text,
            change xid8 NOT NULL DEFAULT pg_current_xact_id(),
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            UNIQUE (resource_id, number)
        ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
                autovacuum_vacuum_insert_scale_factor = 0,
                autovacuum_vacuum_insert_threshold = 20000,
                autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 2000)""")
    # A task has the one or the other, so each is in one of the two.
    op.execute("""
        CREATE UNIQUE INDEX tasks_event ON tasks (event_id) WHERE event_id IS NOT NULL""")
    op.execute("""
        CREATE UNIQUE INDEX tasks_request ON tasks (request_id) WHERE request_id IS NOT NULL""")
    # For pages of the newest: of a resource; of those that are open, or failed, which are few among
    # many. Those that are completed, or of one action, are found among all by their ids.
    op.execute("CREATE INDEX tasks_of_resource ON tasks (resource_id, id)")
    op.execute("""
        CREATE INDEX tasks_open ON tasks (id, status) WHERE status IN ('pending', 'running')""")
    op.execute("CREATE INDEX tasks_failed ON tasks (id) WHERE status = 'failed'")
    # For those who watch: what a transaction has changed (changes.py).
    op.execute("CREATE INDEX tasks_change ON tasks (change)")
    # For upkeep, which drops the oldest first.
    op.execute("""
        CREATE INDEX tasks_finished ON tasks (updated_at)
        WHERE status IN ('completed', 'failed')""")


def downgrade() -> None:
    op.execute("DROP TABLE tasks")
    op.execute("DROP TABLE task_resources")
    inbox.downgrade_v1(op)
    outbox.downgrade_v1(op)

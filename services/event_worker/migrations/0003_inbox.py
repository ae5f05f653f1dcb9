"""The worker's tables of progress and held events become those that every inbox has."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

# It ends in what services.shared.inbox.ddl makes in version 1; a test holds the two to each other.
# Progress comes first, both ways: a transaction that holds an event has locked that before, so from
# there on no other one is under way that would add to what is copied.


def upgrade() -> None:
    # Renamed and not copied: it has a row per resource, and a wider key rewrites none of them.
    op.execute("ALTER TABLE resource_progress RENAME TO inbox_progress")
    op.execute("ALTER INDEX resource_progress_pkey RENAME TO inbox_progress_pkey")
    op.execute("ALTER TABLE inbox_progress RENAME COLUMN resource_id TO aggregate")
    op.execute("ALTER TABLE inbox_progress RENAME COLUMN deleted TO ended")
    op.execute("""
        ALTER TABLE inbox_progress ALTER COLUMN aggregate TYPE varchar(200) COLLATE "C" """)

    # Copied: it is empty unless something is late. Events of resources alone were held.
    op.execute("""
        CREATE TABLE inbox_held (
            aggregate varchar(200) COLLATE "C" NOT NULL,
            version bigint NOT NULL,
            id uuid NOT NULL,
            event_type varchar(100) NOT NULL,
            payload jsonb NOT NULL,
            last boolean NOT NULL,
            correlation_id text,
            traceparent text,
            held_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (aggregate, version, id)
        ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)""")
    op.execute("""
        INSERT INTO inbox_held (aggregate, version, id, event_type, payload, last, correlation_id,
                                held_at)
        SELECT resource_id, version, id, event_type, payload, event_type = 'resource.deleted',
               correlation_id, held_at
        FROM held_events""")
    op.execute("DROP TABLE held_events")
    op.execute("CREATE INDEX inbox_held_age ON inbox_held (held_at)")


def downgrade() -> None:
    op.execute("ALTER TABLE inbox_progress RENAME TO resource_progress")
    op.execute("ALTER INDEX inbox_progress_pkey RENAME TO resource_progress_pkey")
    op.execute("DELETE FROM resource_progress WHERE starts_with(aggregate, 'tasks:')")
    op.execute("""
        ALTER TABLE resource_progress ALTER COLUMN aggregate TYPE varchar(100) COLLATE "C" """)
    op.execute("ALTER TABLE resource_progress RENAME COLUMN aggregate TO resource_id")
    op.execute("ALTER TABLE resource_progress RENAME COLUMN ended TO deleted")

    # The revision before knows no order among tasks: what is held for it takes effect now.
    op.execute("""
        INSERT INTO processed_events (id, event_type, resource_id, task_id, action, payload,
                                      aggregate_version, correlation_id)
        SELECT id, event_type, payload->>'resource_id', payload->>'task_id',
               coalesce(payload->>'action', split_part(event_type, '.', 2)), payload,
               version, correlation_id
        FROM inbox_held WHERE starts_with(aggregate, 'tasks:')
        ORDER BY aggregate, version
        ON CONFLICT (id) DO NOTHING""")
    op.execute("""
        CREATE TABLE held_events (
            resource_id varchar(100) COLLATE "C" NOT NULL,
            version bigint NOT NULL,
            id uuid NOT NULL,
            event_type varchar(100) NOT NULL,
            task_id varchar(100),
            action varchar(50),
            payload jsonb NOT NULL,
            correlation_id text,
            held_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (resource_id, version, id)
        ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)""")
    op.execute("""
        INSERT INTO held_events (resource_id, version, id, event_type, action, payload,
                                 correlation_id, held_at)
        SELECT aggregate, version, id, event_type, split_part(event_type, '.', 2), payload,
               correlation_id, held_at
        FROM inbox_held WHERE NOT starts_with(aggregate, 'tasks:')""")
    op.execute("DROP TABLE inbox_held")
    op.execute("CREATE INDEX held_events_age ON held_events (held_at)")

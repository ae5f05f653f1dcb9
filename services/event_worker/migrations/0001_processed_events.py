"""Processed events in day partitions, each resource's progress, and the events held back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from alembic import op

revision = "0001"
down_revision = None

# Written out rather than taken from services.shared.postgres.partitions: a revision must not change
# when the code around it does.
AUTOVACUUM = """WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 2000
)"""
DAYS_BEFORE, DAYS_AFTER = 1, 3


def uuid7_floor(moment: datetime) -> str:
    """The smallest UUIDv7 of a moment: 48 bits of milliseconds, then version and variant."""
    digits = f"{int(moment.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000"


def upgrade() -> None:
    # seq is the order in which events took effect; id order is only the order of their making.
    op.execute("""
        CREATE TABLE processed_events (
            id uuid NOT NULL PRIMARY KEY,
            seq bigint GENERATED ALWAYS AS IDENTITY,
            event_type varchar(100) NOT NULL,
            resource_id varchar(100),
            task_id varchar(100),
            action varchar(50),
            payload jsonb NOT NULL,
            aggregate_version bigint,
            correlation_id text,
            processed_at timestamptz NOT NULL DEFAULT clock_timestamp()
        ) PARTITION BY RANGE (id)""")
    op.execute("""
        CREATE INDEX processed_events_resource ON processed_events (resource_id, seq)""")
    op.execute(
        f"CREATE TABLE processed_events_default PARTITION OF processed_events DEFAULT {AUTOVACUUM}"
    )
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for offset in range(-DAYS_BEFORE, DAYS_AFTER + 1):
        day = today + timedelta(days=offset)
        op.execute(f"""
            CREATE TABLE processed_events_{day:%Y%m%d} PARTITION OF processed_events
            FOR VALUES FROM ('{uuid7_floor(day)}') TO ('{uuid7_floor(day + timedelta(days=1))}')
            {AUTOVACUUM}""")

    # A row per resource, updated with every event: room on the page keeps the updates HOT.
    op.execute("""
        CREATE TABLE resource_progress (
            resource_id varchar(100) COLLATE "C" PRIMARY KEY,
            version bigint NOT NULL DEFAULT 0,
            deleted boolean NOT NULL DEFAULT false,
            updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
        ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0,
                autovacuum_vacuum_threshold = 2000)""")
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
    op.execute("CREATE INDEX held_events_age ON held_events (held_at)")


def downgrade() -> None:
    for table in ("held_events", "resource_progress", "processed_events"):
        op.execute(f"DROP TABLE {table}")

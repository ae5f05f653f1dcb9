"""Resources, the outbox in day partitions, its dead and parked events, and the relay's leases."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from alembic import op

revision = "0001"
down_revision = None

# Partitions hold one day and are dropped whole. A row is inserted once and updated once, and the
# relay reads by a partial index, so dead rows hurt at once: vacuum by a fixed count, not a share.
AUTOVACUUM = """WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 2000
)"""
DAYS_BEFORE, DAYS_AFTER = 1, 3


def uuid7_floor(day: date) -> str:
    """The smallest UUIDv7 of a UTC day: 48 bits of milliseconds, then version and variant."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    digits = f"{int(midnight.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE resources (
            id varchar(100) COLLATE "C" PRIMARY KEY,
            name varchar(255) NOT NULL,
            description text,
            status varchar(50) NOT NULL,
            version bigint NOT NULL,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL
        )""")
    # COLLATE "C": a UUIDv7's text sorts by time only when bytes are compared.
    op.execute("""
        CREATE TABLE outbox_events (
            id varchar(100) COLLATE "C" NOT NULL PRIMARY KEY,
            seq bigint GENERATED ALWAYS AS IDENTITY,
            lane smallint NOT NULL CHECK (lane BETWEEN 0 AND 63),
            aggregate_id varchar(100) NOT NULL,
            aggregate_version bigint NOT NULL,
            event_type varchar(100) NOT NULL,
            payload jsonb NOT NULL,
            correlation_id text,
            traceparent text,
            attempts integer NOT NULL DEFAULT 0,
            created_at timestamptz NOT NULL DEFAULT now(),
            processed_at timestamptz
        ) PARTITION BY RANGE (id)""")
    op.execute("""
        CREATE INDEX outbox_events_unsent ON outbox_events (lane, seq)
        WHERE processed_at IS NULL""")
    op.execute(
        f"CREATE TABLE outbox_events_default PARTITION OF outbox_events DEFAULT {AUTOVACUUM}"
    )
    today = datetime.now(UTC).date()
    for offset in range(-DAYS_BEFORE, DAYS_AFTER + 1):
        day = today + timedelta(days=offset)
        op.execute(f"""
            CREATE TABLE outbox_events_{day:%Y%m%d} PARTITION OF outbox_events
            FOR VALUES FROM ('{uuid7_floor(day)}') TO ('{uuid7_floor(day + timedelta(days=1))}')
            {AUTOVACUUM}""")

    op.execute("""
        CREATE TABLE outbox_dead (
            event_id varchar(100) COLLATE "C" PRIMARY KEY,
            aggregate_id varchar(100) NOT NULL,
            aggregate_version bigint NOT NULL,
            event_type varchar(100) NOT NULL,
            payload jsonb NOT NULL,
            correlation_id text,
            traceparent text,
            error text NOT NULL,
            attempts integer NOT NULL,
            parked_at timestamptz NOT NULL DEFAULT now()
        )""")
    op.execute("""
        CREATE TABLE outbox_parked (
            aggregate_id varchar(100) COLLATE "C" PRIMARY KEY,
            event_id varchar(100) NOT NULL,
            reason text NOT NULL,
            parked_at timestamptz NOT NULL DEFAULT now()
        )""")
    op.execute("""
        CREATE TABLE relay_lease (
            lane smallint PRIMARY KEY CHECK (lane BETWEEN 0 AND 63),
            owner text,
            token bigint NOT NULL DEFAULT 0,
            expires_at timestamptz
        )""")
    op.execute("INSERT INTO relay_lease (lane) SELECT generate_series(0, 63)")
    op.execute("""
        CREATE TABLE relay_member (
            id text PRIMARY KEY,
            expires_at timestamptz NOT NULL
        )""")


def downgrade() -> None:
    for table in (
        "relay_member",
        "relay_lease",
        "outbox_parked",
        "outbox_dead",
        "outbox_events",
        "resources",
    ):
        op.execute(f"DROP TABLE {table}")

"""The tables of an outbox, as the first revision of a service that writes one makes them.

    from services.shared.outbox import ddl
    def upgrade() -> None:
        ddl.upgrade_v1(op)

Frozen: a revision must not change when the code around it does, so everything is written out. What
changes later is a further pair of functions here, and a further revision of every such service.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

# Partitions hold one day and are dropped whole. A row is inserted once and updated once, and the
# relay reads by a partial index, so dead rows hurt at once: vacuum by a fixed count, not a share.
_AUTOVACUUM = """WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 2000
)"""
_DAYS_BEFORE, _DAYS_AFTER = 1, 3


class Operations(Protocol):
    """The part of alembic.op that is used here."""

    def execute(self, sqltext: Any, /) -> Any: ...


def _uuid7_floor(day: date) -> str:
    """The smallest UUIDv7 of a UTC day: 48 bits of milliseconds, then version and variant."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    digits = f"{int(midnight.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000"


def upgrade_v1(op: Operations) -> None:
    """Events in day partitions, the dead and the parked ones, and the relay's leases."""
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
        f"CREATE TABLE outbox_events_default PARTITION OF outbox_events DEFAULT {_AUTOVACUUM}"
    )
    today = datetime.now(UTC).date()
    for offset in range(-_DAYS_BEFORE, _DAYS_AFTER + 1):
        day = today + timedelta(days=offset)
        op.execute(f"""
            CREATE TABLE outbox_events_{day:%Y%m%d} PARTITION OF outbox_events
            FOR VALUES FROM ('{_uuid7_floor(day)}') TO ('{_uuid7_floor(day + timedelta(days=1))}')
            {_AUTOVACUUM}""")

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


def downgrade_v1(op: Operations) -> None:
    """Drop them, with every event that was not published yet."""
    for table in ("relay_member", "relay_lease", "outbox_parked", "outbox_dead", "outbox_events"):
        op.execute(f"DROP TABLE {table}")

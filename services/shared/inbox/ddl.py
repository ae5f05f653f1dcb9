"""The tables of an inbox, as a revision of a service that has one makes them.

    from services.shared.inbox import ddl
    def upgrade() -> None:
        ddl.upgrade_v1(op)

Frozen: a revision must not change when the code around it does, so everything is written out. What
changes later is a further pair of functions here, and a further revision of every such service.
"""

from __future__ import annotations

from typing import Any, Protocol


class Operations(Protocol):
    """The part of alembic.op that is used here."""

    def execute(self, sqltext: Any, /) -> Any: ...


def upgrade_v1(op: Operations) -> None:
    """Each aggregate's progress, and the events that are held back."""
    # A row per aggregate, updated with every event: room on the page keeps the updates HOT.
    op.execute("""
        CREATE TABLE inbox_progress (
            aggregate varchar(200) COLLATE "C" PRIMARY KEY,
            version bigint NOT NULL DEFAULT 0,
            ended boolean NOT NULL DEFAULT false,
            updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
        ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0,
                autovacuum_vacuum_threshold = 2000)""")
    # jsonb: content that it refuses is refused before it is held.
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
    op.execute("CREATE INDEX inbox_held_age ON inbox_held (held_at)")


def downgrade_v1(op: Operations) -> None:
    """Drop them, with every event that is held."""
    for table in ("inbox_held", "inbox_progress"):
        op.execute(f"DROP TABLE {table}")

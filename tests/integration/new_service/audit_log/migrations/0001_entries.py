"""An entry per event."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE entries (
            event_id uuid PRIMARY KEY,
            resource_id varchar(100) NOT NULL,
            event_type varchar(100) NOT NULL,
            correlation_id text,
            written_at timestamptz NOT NULL DEFAULT clock_timestamp()
        )""")


def downgrade() -> None:
    op.execute("DROP TABLE entries")

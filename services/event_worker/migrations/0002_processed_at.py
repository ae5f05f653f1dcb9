"""When an event was processed decides how long it is remembered: an index to ask by."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # The worker waits while it is built, and tries again; a million rows take about a second.
    op.execute("CREATE INDEX processed_events_processed_at ON processed_events (processed_at)")


def downgrade() -> None:
    op.execute("DROP INDEX processed_events_processed_at")

"""Documents, each with the entry of the stream that its present content came from."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    # Documents are written over again: room on the page keeps the updates HOT.
    op.execute("""
        CREATE TABLE documents (
            id text COLLATE "C" PRIMARY KEY,
            document jsonb NOT NULL,
            entry_ms bigint NOT NULL,
            entry_seq bigint NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now()
        ) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0,
                autovacuum_vacuum_threshold = 10000,
                autovacuum_vacuum_insert_scale_factor = 0,
                autovacuum_vacuum_insert_threshold = 100000,
                autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000)""")
    # For pages of the newest. created_at never changes, so an update need not touch it.
    op.execute("CREATE INDEX documents_created ON documents (created_at, id)")


def downgrade() -> None:
    op.execute("DROP TABLE documents")

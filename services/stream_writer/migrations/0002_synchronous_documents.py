"""Documents that rest-service stores within the request, apart from those of the stream: neither
ever waits for, or overwrites, a row of the other."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # Room on the page, vacuum and index as those of `documents`: what is compared is the way in.
    op.execute("""
        CREATE TABLE synchronous_documents (
            id text COLLATE "C" PRIMARY KEY,
            document jsonb NOT NULL,
            version bigint NOT NULL DEFAULT 1,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now()
        ) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0,
                autovacuum_vacuum_threshold = 10000,
                autovacuum_vacuum_insert_scale_factor = 0,
                autovacuum_vacuum_insert_threshold = 100000,
                autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000)""")
    op.execute(
        "CREATE INDEX synchronous_documents_created ON synchronous_documents (created_at, id)"
    )


def downgrade() -> None:
    op.execute("DROP TABLE synchronous_documents")

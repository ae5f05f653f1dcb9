"""What creations with an Idempotency-Key answered, by key."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # No reference to resources: the answer stays the same when the resource changes or goes.
    op.execute("""
        CREATE TABLE idempotency_keys (
            key varchar(255) COLLATE "C" PRIMARY KEY,
            resource_id varchar(100) NOT NULL,
            name varchar(255) NOT NULL,
            description text,
            status varchar(50) NOT NULL,
            created_at timestamptz NOT NULL
        )""")
    # For upkeep, which forgets the oldest first.
    op.execute("CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at)")


def downgrade() -> None:
    op.execute("DROP TABLE idempotency_keys")

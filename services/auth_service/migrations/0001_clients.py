"""Clients, their secrets, and tokens that were revoked before their end.

MySQL commits every statement that changes a schema by itself, so each may be run again after a
revision that broke off half way.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    # What is compared is ASCII and compared by bytes: ids and hashes have one spelling.
    op.execute("""
        CREATE TABLE IF NOT EXISTS clients (
            client_id char(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
            client_name varchar(200) NOT NULL,
            scope varchar(500) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
            is_active boolean NOT NULL DEFAULT true,
            created_at datetime(6) NOT NULL,
            updated_at datetime(6) NOT NULL,
            PRIMARY KEY (client_id),
            KEY clients_is_active (is_active, client_id)
        ) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci""")
    # Two slots: a client has one secret, and while it is being replaced two, and never more.
    op.execute("""
        CREATE TABLE IF NOT EXISTS client_secrets (
            client_id char(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
            slot tinyint unsigned NOT NULL,
            secret_hash char(60) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
            fingerprint int unsigned NOT NULL,
            created_at datetime(6) NOT NULL,
            expires_at datetime(6) NULL,
            PRIMARY KEY (client_id, slot),
            CONSTRAINT client_secrets_slot CHECK (slot IN (1, 2)),
            CONSTRAINT client_secrets_client FOREIGN KEY (client_id) REFERENCES clients (client_id)
        ) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci""")
    op.execute("""
        CREATE TABLE IF NOT EXISTS revoked_tokens (
            jti char(22) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
            client_id varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
            revoked_at datetime(6) NOT NULL,
            expires_at datetime(6) NOT NULL,
            PRIMARY KEY (jti),
            KEY revoked_tokens_expires_at (expires_at)
        ) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci""")


def downgrade() -> None:
    for table in ("revoked_tokens", "client_secrets", "clients"):
        op.execute(f"DROP TABLE IF EXISTS {table}")

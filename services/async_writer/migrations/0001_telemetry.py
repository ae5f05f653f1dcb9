"""Points of telemetry, the newest of each device, metric and time; and what windows of them hold.

MySQL commits every statement that changes a schema by itself, so each may be run again after a
revision that broke off half way.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    # Times are UTC. What is compared is ASCII and compared by bytes, as those compare it that sort.
    op.execute("""
        CREATE TABLE IF NOT EXISTS telemetry (
            device_id varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
            metric varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
            ts datetime(6) NOT NULL,
            value double NOT NULL,
            version bigint unsigned NOT NULL,
            PRIMARY KEY (device_id, metric, ts)
        ) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci""")
    op.execute("""
        CREATE TABLE IF NOT EXISTS telemetry_rollups (
            device_id varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
            metric varchar(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
            window_start datetime(6) NOT NULL,
            window_seconds int unsigned NOT NULL,
            points int unsigned NOT NULL,
            minimum double NOT NULL,
            maximum double NOT NULL,
            mean double NOT NULL,
            p50 double NOT NULL,
            p95 double NOT NULL,
            anomaly_score double NOT NULL,
            PRIMARY KEY (device_id, metric, window_start, window_seconds)
        ) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci""")


def downgrade() -> None:
    for table in ("telemetry_rollups", "telemetry"):
        op.execute(f"DROP TABLE IF EXISTS {table}")

"""The board of the PostgreSQL servers."""

from infra.monitoring.boards import shared
from infra.monitoring.boards.board import Board, Panel, Query, Row, Threshold, Unit
from infra.monitoring.boards.promql import rate, total

_OURS = {"datname": "!~template.*|postgres"}
"""What services keep; the rest is the server's own."""


def board(servers: tuple[str, ...]) -> Board:
    return Board(
        slug="postgres",
        title="PostgreSQL",
        explains="Connections, transactions, locks and the log of changes of each server.",
        rows=(
            _now(),
            _work(),
            _log(),
            *(shared.containers(server) for server in servers),
        ),
    )


def _now() -> Row:
    used = total("pg_stat_activity_count", ("job",))
    return Row(
        "Now",
        (
            Panel(
                "Answers",
                Unit.YES_NO,
                (Query("min by (job) (pg_up)", "{{job}}"),),
                "Whether the exporter could ask the server.",
                kind="states",
            ),
            Panel(
                "Connections, of the most",
                Unit.RATIO,
                (Query(f"{used} / max by (job) (pg_settings_max_connections)", "{{job}}"),),
                "Of all clients; from 80 % on there is an alert.",
                thresholds=shared.POOL_FULL,
                most=1,
            ),
            Panel(
                "Connections by state",
                Unit.COUNT,
                (Query(total("pg_stat_activity_count", ("job", "state")), "{{job}} {{state}}"),),
                "`idle in transaction` holds locks and does nothing.",
                kind="areas",
            ),
        ),
    )


def _work() -> Row:
    read = rate("pg_stat_database_blks_read", ("datname",), **_OURS)
    hit = rate("pg_stat_database_blks_hit", ("datname",), **_OURS)
    return Row(
        "Work",
        (
            Panel(
                "Commits",
                Unit.PER_SECOND,
                (
                    Query(
                        rate("pg_stat_database_xact_commit", ("datname",), **_OURS), "{{datname}}"
                    ),
                ),
                "Transactions, by database; the constrained store is held to a hundred a second.",
            ),
            Panel(
                "Rollbacks and deadlocks",
                Unit.PER_SECOND,
                (
                    Query(
                        rate("pg_stat_database_xact_rollback", ("datname",), **_OURS),
                        "{{datname}}, rolled back",
                    ),
                    Query(
                        rate("pg_stat_database_deadlocks", ("datname",), **_OURS),
                        "{{datname}}, deadlocks",
                    ),
                ),
                "A deadlock ends one of its transactions, which is tried again.",
            ),
            Panel(
                "Found in memory",
                Unit.RATIO,
                (Query(f"{hit} / (({hit} + {read}) > 0)", "{{datname}}"),),
                "Share of pages that needed no read; the rest may still come from the system's"
                " cache.",
                most=1,
                quiet="no page was asked for",
            ),
            Panel(
                "Longest transaction",
                Unit.SECONDS,
                (
                    Query(
                        'max by (job, datname) (pg_stat_activity_max_tx_duration{state!="idle"})',
                        "{{job}} {{datname}}",
                    ),
                ),
                "What began long ago keeps old rows from being cleaned up.",
                thresholds=(Threshold(300, "warning"), Threshold(3600, "critical")),
                quiet="no transaction is under way",
            ),
            Panel(
                "Locks",
                Unit.COUNT,
                (Query(total("pg_locks_count", ("job", "mode")), "{{job}} {{mode}}"),),
                "Held, by mode; exclusive ones make others wait.",
            ),
            Panel(
                "Rows read",
                Unit.PER_SECOND,
                (
                    Query(
                        rate("pg_stat_database_tup_returned", ("datname",), **_OURS), "{{datname}}"
                    ),
                ),
                "By scans of tables and indexes; a jump is often an index that is missing.",
            ),
        ),
    )


def _log() -> Row:
    return Row(
        "Data, and the log of changes",
        (
            Panel(
                "Size",
                Unit.BYTES,
                (Query('pg_database_size_bytes{datname!~"template.*|postgres"}', "{{datname}}"),),
                "Of each database on disk.",
                kind="areas",
            ),
            Panel(
                "Log kept on the server",
                Unit.BYTES,
                (Query("max by (job) (pg_wal_size_bytes)", "{{job}}"),),
                "Grows while the archiver is away, as its slot keeps what the storage lacks.",
            ),
            Panel(
                "Archive behind",
                Unit.SECONDS,
                (Query("max by (database) (backup_archive_lag_seconds)", "{{database}}"),),
                "What would be missing if the volume were lost now.",
                thresholds=(Threshold(60, "warning"), Threshold(300, "critical")),
                width=6,
                quiet="no archiver runs, as backups are off",
            ),
        ),
    )

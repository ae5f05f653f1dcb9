"""The board of the MySQL servers, their copies, and ProxySQL before them."""

from infra.monitoring.boards import proxysql, shared
from infra.monitoring.boards.board import Board, Panel, Query, Row, Threshold, Unit
from infra.monitoring.boards.promql import rate, total


def board(servers: tuple[str, ...]) -> Board:
    return Board(
        slug="mysql",
        title="MySQL and ProxySQL",
        explains="Each server, how late its copies are, and how ProxySQL spreads the work.",
        rows=(
            _now(),
            _work(),
            _copies(),
            proxysql.row(),
            *(shared.containers(server) for server in servers),
        ),
    )


def _now() -> Row:
    used, most = "mysql_global_status_threads_connected", "mysql_global_variables_max_connections"
    return Row(
        "Now",
        (
            Panel(
                "Answers",
                Unit.YES_NO,
                (Query("min by (job, pod) (mysql_up)", "{{job}} {{pod}}"),),
                "Whether the exporter could ask the server.",
                kind="states",
            ),
            Panel(
                "Connections, of the most",
                Unit.RATIO,
                (
                    Query(
                        f"max by (job, pod) ({used}) / max by (job, pod) ({most})",
                        "{{job}} {{pod}}",
                    ),
                ),
                "Of all clients; from 80 % on there is an alert.",
                thresholds=shared.POOL_FULL,
                most=1,
            ),
            Panel(
                "At work",
                Unit.COUNT,
                (
                    Query(
                        total("mysql_global_status_threads_running", ("job", "pod")),
                        "{{job}} {{pod}}",
                    ),
                ),
                "Statements in the middle of being run, the exporter's own among them.",
            ),
        ),
    )


def _work() -> Row:
    ours = "~select|insert|update|delete|replace|commit|rollback"
    asked = "mysql_global_status_innodb_buffer_pool_read_requests"
    read = "mysql_global_status_innodb_buffer_pool_reads"
    by = ("job", "pod")
    return Row(
        "Work",
        (
            Panel(
                "Statements",
                Unit.PER_SECOND,
                (Query(rate("mysql_global_status_queries", by), "{{job}} {{pod}}"),),
                "Of all kinds.",
            ),
            Panel(
                "By command",
                Unit.PER_SECOND,
                (
                    Query(
                        rate("mysql_global_status_commands_total", ("command",), command=ours),
                        "{{command}}",
                    ),
                ),
                "Those that read or change rows, and transactions.",
                kind="areas",
            ),
            Panel(
                "Found in memory",
                Unit.RATIO,
                (
                    Query(
                        f"1 - {rate(read, by)} / ({rate(asked, by)} > 0)",
                        "{{job}} {{pod}}",
                    ),
                ),
                "Share of page requests that needed no read of the disk.",
                most=1,
                quiet="no page was asked for",
            ),
            Panel(
                "Trouble",
                Unit.PER_SECOND,
                (
                    Query(rate("mysql_global_status_slow_queries", ("job",)), "{{job}}, slow"),
                    Query(
                        rate("mysql_global_status_innodb_row_lock_waits", ("job",)),
                        "{{job}}, waited for a row",
                    ),
                    Query(
                        rate("mysql_global_status_aborted_connects", ("job",)),
                        "{{job}}, not let in",
                    ),
                ),
                "Statements that were slow or waited for locks, and clients that did not get in.",
            ),
            Panel(
                "Flushes of the log",
                Unit.PER_SECOND,
                (Query(rate("mysql_global_status_innodb_os_log_fsyncs", by), "{{job}} {{pod}}"),),
                "Each makes commits durable; what a disk can do of them is the limit of writes.",
            ),
            Panel(
                "Traffic",
                Unit.BYTES_PER_SECOND,
                (
                    Query(
                        rate("mysql_global_status_bytes_received", ("job",)), "{{job}}, received"
                    ),
                    Query(rate("mysql_global_status_bytes_sent", ("job",)), "{{job}}, sent"),
                ),
                "To and from clients and copies.",
            ),
        ),
    )


def _copies() -> Row:
    runs = " * ".join(
        f"min by (job, pod) (mysql_slave_status_replica_{thread}_running)"
        for thread in ("io", "sql")
    )
    return Row(
        "Copies",
        (
            Panel(
                "Behind the source",
                Unit.SECONDS,
                (
                    Query(
                        "max by (job, pod) (mysql_slave_status_seconds_behind_source)",
                        "{{job}} {{pod}}",
                    ),
                ),
                "How old what a copy shows may be; a copy that does not replicate has no value.",
                thresholds=(Threshold(30, "warning"), Threshold(300, "critical")),
                width=6,
            ),
            Panel(
                "Replicates",
                Unit.YES_NO,
                (Query(runs, "{{job}} {{pod}}"),),
                "Whether a copy receives the source's changes and applies them.",
                kind="states",
                width=6,
            ),
        ),
        needs="copies",
    )

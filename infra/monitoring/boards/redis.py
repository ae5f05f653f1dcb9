"""The board of the Redis servers, and of the stream in one of them."""

from infra.monitoring.boards import shared
from infra.monitoring.boards.board import Board, Panel, Query, Row, Threshold, Unit
from infra.monitoring.boards.promql import quantiles, rate, total


def board(servers: tuple[str, ...]) -> Board:
    return Board(
        slug="redis",
        title="Redis and streams",
        explains="Documents that wait in the stream, what the caches answer, and both servers.",
        rows=(
            _stream(),
            _writers(),
            _caches(),
            _servers(),
            *(shared.containers(server) for server in servers),
        ),
    )


def _stream() -> Row:
    return Row(
        "The stream",
        (
            Panel(
                "Documents that wait",
                Unit.COUNT,
                (
                    Query("max(stream_lag_entries)", "in no writer's hand"),
                    Query("max(stream_pending_entries)", "in a writer's hand"),
                ),
                "Accepted, and not in the database yet.",
                kind="areas",
            ),
            Panel(
                "Oldest document",
                Unit.SECONDS,
                (Query("max(stream_oldest_entry_age_seconds)", "oldest"),),
                "How long a document has waited for its commit.",
                thresholds=(Threshold(30, "warning"), Threshold(300, "critical")),
            ),
            Panel(
                "In and out",
                Unit.PER_SECOND,
                (
                    Query(rate("ingest_documents_accepted_total"), "accepted"),
                    Query(rate("writer_documents_total", ("outcome",)), "{{outcome}}"),
                ),
                "What clients were promised, and what writers have settled.",
            ),
            Panel(
                "Closed",
                Unit.YES_NO,
                (Query("max by (reason) (ingest_admission_closed)", "{{reason}}"),),
                "While yes, documents are refused with 503: a full queue or memory, or no word"
                " from Redis.",
                kind="lines",
                thresholds=(Threshold(1, "critical"),),
                most=1,
            ),
            Panel(
                "Refused",
                Unit.PER_SECOND,
                (Query(rate("ingest_requests_refused_total", ("reason",)), "{{reason}}"),),
                "Requests answered with 503, by reason.",
                kind="areas",
            ),
            Panel(
                "Dead letters",
                Unit.COUNT,
                (Query("max(stream_dead_letters)", "documents"),),
                "Documents that can never be stored, and wait for somebody to look.",
                thresholds=(Threshold(1, "warning"),),
            ),
        ),
    )


def _writers() -> Row:
    quiet = "no document was written since the writers started"
    return Row(
        "Writers",
        (
            Panel(
                "Age of documents when stored",
                Unit.SECONDS,
                quantiles("writer_document_age_seconds"),
                "From acceptance to commit.",
                quiet=quiet,
            ),
            Panel(
                "Commits",
                Unit.PER_SECOND,
                (Query(rate("writer_commits_total"), "all writers"),),
                "All writers share a budget of commits; a slow disk has no more to give.",
                thresholds=(Threshold(100, "warning"),),
            ),
            Panel(
                "A batch's time, p95",
                Unit.SECONDS,
                (
                    Query(quantiles("writer_token_wait_seconds")[1].expr, "waiting for its turn"),
                    Query(quantiles("writer_write_duration_seconds")[1].expr, "being written"),
                ),
                "Where the time of a batch goes.",
                quiet=quiet,
            ),
        ),
    )


def _caches() -> Row:
    sources = rate("ingest_reads_total", ("source",))
    hits = rate("redis_keyspace_hits_total", ("job",))
    misses = rate("redis_keyspace_misses_total", ("job",))
    return Row(
        "Caches",
        (
            Panel(
                "Documents read, by where they were",
                Unit.PER_SECOND,
                (Query(sources, "{{source}}"),),
                "Two caches before the database; `pending` is in the stream still.",
                kind="areas",
            ),
            Panel(
                "Resources looked up",
                Unit.PER_SECOND,
                (Query(rate("cache_requests_total", ("result",)), "{{result}}"),),
                "By the cache before `restdb`; `bypass` is when Redis is away.",
                kind="areas",
            ),
            Panel(
                "Found, by server",
                Unit.RATIO,
                (Query(f"{hits} / (({hits} + {misses}) > 0)", "{{job}}"),),
                "Share of look-ups by key that found something.",
                most=1,
                quiet="nothing was looked up",
            ),
        ),
    )


def _servers() -> Row:
    by = ("job",)
    memory = "max by (job) (redis_memory_used_bytes) / (max by (job) (redis_memory_max_bytes) > 0)"
    return Row(
        "Servers",
        (
            Panel(
                "Answers",
                Unit.YES_NO,
                (Query("min by (job) (redis_up)", "{{job}}"),),
                "Whether the exporter could ask the server.",
                kind="states",
            ),
            Panel(
                "Memory, of the most",
                Unit.RATIO,
                (Query(memory, "{{job}}"),),
                "A cache throws the oldest away when it is full; the stream refuses what comes.",
                thresholds=(Threshold(0.9, "warning"),),
                most=1,
            ),
            Panel(
                "Last write of the log went well",
                Unit.YES_NO,
                (
                    Query(
                        'min by (job) (redis_aof_last_write_status{job="redis-stream"})',
                        "{{job}}",
                    ),
                ),
                "What is acknowledged is in this log first; no means a full or broken disk.",
                kind="states",
            ),
            Panel(
                "Commands",
                Unit.PER_SECOND,
                (Query(rate("redis_commands_processed_total", by), "{{job}}"),),
                "Of all clients.",
            ),
            Panel(
                "Time by command",
                Unit.SECONDS,
                (
                    Query(
                        rate("redis_commands_duration_seconds_total", ("job", "cmd"))
                        + " / ("
                        + rate("redis_commands_total", ("job", "cmd"))
                        + " > 0)",
                        "{{job}} {{cmd}}",
                    ),
                ),
                "Mean time in the server; flushing of the log aside.",
                quiet="no command was run",
            ),
            Panel(
                "Clients",
                Unit.COUNT,
                (Query(total("redis_connected_clients", by), "{{job}}"),),
                "Connections.",
            ),
            Panel(
                "Keys gone",
                Unit.PER_SECOND,
                (
                    Query(rate("redis_evicted_keys_total", by), "{{job}}, thrown away"),
                    Query(rate("redis_expired_keys_total", by), "{{job}}, expired"),
                ),
                "Thrown away as there was no room, or past their time.",
            ),
            Panel(
                "Trouble",
                Unit.PER_SECOND,
                (
                    Query(rate("redis_rejected_connections_total", by), "{{job}}, not let in"),
                    Query(rate("redis_aof_delayed_fsync", by), "{{job}}, flushes late"),
                ),
                "Clients over the limit, and flushes that a slow disk held up.",
            ),
            Panel(
                "Log on disk",
                Unit.BYTES,
                (Query("max by (job) (redis_aof_current_size_bytes)", "{{job}}"),),
                "Of servers that keep what they hold; it shrinks when it is rewritten.",
            ),
        ),
    )

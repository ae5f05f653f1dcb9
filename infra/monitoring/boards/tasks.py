"""Tasks of a service, from their making to their end."""

from infra.monitoring.boards.board import Panel, Query, Row, Threshold, Unit
from infra.monitoring.boards.promql import quantiles, rate, series

OLD_SECONDS = 900
"""Age of the oldest task from which on there is an alert."""
_QUIET = "there has been no task since it started"


def row(job: str) -> Row:
    def counted(metric: str, legend: str, *by: str) -> Query:
        return Query(rate(metric, by, job=job), legend)

    return Row(
        "Tasks",
        (
            Panel(
                "Oldest without an end",
                Unit.SECONDS,
                (
                    Query(
                        f"max by (job) ({series('tasks_oldest_pending_age_seconds', job=job)})",
                        "{{job}}",
                    ),
                ),
                "Tasks of a resource are done in order: one may wait behind many of its own.",
                thresholds=(Threshold(OLD_SECONDS, "critical"),),
            ),
            Panel(
                "Without an end",
                Unit.COUNT,
                (Query(f"max by (job) ({series('tasks_pending', job=job)})", "{{job}}"),),
                "Those that run included; counted up to 100,000.",
            ),
            Panel(
                "Made and ended",
                Unit.PER_SECOND,
                (
                    counted("tasks_created_total", "made"),
                    counted("tasks_finished_total", "{{status}}", "status"),
                ),
                "Where more are made than end, they wait.",
                quiet=_QUIET,
            ),
            Panel(
                "Ended, by action",
                Unit.PER_SECOND,
                (counted("tasks_finished_total", "{{action}}, {{status}}", *("action", "status")),),
                "Created, updated and deleted are asked for by events, the others by callers.",
                kind="areas",
                quiet=_QUIET,
            ),
            Panel(
                "Attempts",
                Unit.PER_SECOND,
                (counted("task_attempts_total", "{{outcome}}", "outcome"),),
                "`retried` comes again; `lost` was another process's by the time it ended.",
                kind="areas",
                quiet=_QUIET,
            ),
            Panel(
                "Processes that died",
                Unit.PER_SECOND,
                (counted("task_process_restarts_total", "replaced"),),
                "Of tasks: they ended, or were ended for want of an answer. Each was an attempt.",
            ),
            Panel(
                "From making to end",
                Unit.SECONDS,
                quantiles("task_duration_seconds", job=job),
                "With all waiting, and all attempts.",
                width=6,
                quiet=_QUIET,
            ),
            Panel(
                "One attempt",
                Unit.SECONDS,
                quantiles("task_run_seconds", job=job),
                "In its process, and on the way there and back.",
                width=6,
                quiet=_QUIET,
            ),
        ),
    )

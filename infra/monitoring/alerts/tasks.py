"""Tasks on their way from an event, or a call, to their end."""

from collections.abc import Mapping
from typing import Final

from infra.monitoring.forms import Alert, Case, Group, Implied, Said, series

ATTEMPTS: Final = 5
"""A task takes so many processes with it at most; where a stack says otherwise
(TASKS_MAX_ATTEMPTS), the number that is told is another."""
_JOB: Final = "grpc-service"


def _tasks(oldest: int, ended: int) -> Mapping[str, str]:
    """Two pods that see the same oldest task, and how many end in a minute."""
    age = "tasks_oldest_pending_age_seconds"
    finished = series("tasks_finished_total", job=_JOB, pod="a", status="completed")
    return {
        series(age, job=_JOB, pod="a"): f"{oldest}x20",
        series(age, job=_JOB, pod="b"): f"{oldest}x20",
        finished: f"7+{ended}x20",
    }


def _ended(action: str, failed: float, completed: float) -> Mapping[str, str]:
    """In a minute."""
    here = {"job": _JOB, "pod": "a", "action": action}
    return {
        series("tasks_finished_total", **here, status="failed"): f"0+{failed:g}x30",
        series("tasks_finished_total", **here, status="completed"): f"0+{completed:g}x30",
    }


def _died(values: str) -> Mapping[str, str]:
    return {series("task_process_restarts_total", job=_JOB, pod="a"): values}


def _said(summary: str, **labels: str) -> tuple[Said, ...]:
    return (Said({"job": _JOB, **labels}, f"{_JOB}: {summary}"),)


GROUP: Final = Group(
    "tasks",
    (
        Alert(
            "TasksStuck",
            "max by (job) (tasks_oldest_pending_age_seconds) > 300"
            " unless sum by (job) (rate(tasks_finished_total[10m])) > 0",
            severity="page",
            layer="symptom",
            owner="services",
            pending="2m",
            summary="{{ $labels.job }}: no task ends, one since {{ $value | humanizeDuration }}",
            description=(
                "There are tasks, and in ten minutes none came to its end: nobody runs them, or"
                " none can be written down. None is lost."
            ),
            cases=(
                Case(
                    _tasks(oldest=301, ended=0),
                    "15m",
                    _said("no task ends, one since 5m 1s"),
                ),
                Case(_tasks(oldest=299, ended=0), "15m"),
                Case(_tasks(oldest=301, ended=1), "15m"),
            ),
        ),
        Alert(
            "TasksOldestPending",
            "max by (job) (tasks_oldest_pending_age_seconds) > 900",
            severity="ticket",  # others end: it is late, or behind others of its resource
            layer="symptom",
            owner="services",
            pending="5m",
            summary="{{ $labels.job }}: a task has had no end for {{ $value | humanizeDuration }}",
            description=(
                "Tasks end, and this one does not: more come than the pods can run, or it waits"
                " behind many of the same resource, which run one after the other."
            ),
            implied=(Implied("TasksStuck"),),
            cases=(
                Case(
                    _tasks(oldest=901, ended=60),
                    "8m",
                    _said("a task has had no end for 15m 1s"),
                ),
                Case(_tasks(oldest=899, ended=60), "8m"),
            ),
        ),
        Alert(
            "TasksFail",
            'sum by (job, action) (rate(tasks_finished_total{status="failed"}[15m]))'
            " / sum by (job, action) (rate(tasks_finished_total[15m])) > 0.05"
            # Of few tasks a share says nothing, and a caller may be wrong now and then.
            ' and sum by (job, action) (increase(tasks_finished_total{status="failed"}[15m])) > 10',
            severity="ticket",
            layer="symptom",
            owner="services",
            pending="5m",
            summary=(
                "{{ $labels.job }}: {{ $value | humanizePercentage }} of tasks"
                " ({{ $labels.action }}) fail"
            ),
            description=(
                "In a quarter of an hour more than 5 % of these tasks were given up, and more than"
                " ten. What no attempt could make anything of is not tried again."
            ),
            cases=(
                Case(
                    _ended("created", failed=6, completed=94),
                    "25m",
                    _said("6% of tasks (created) fail", action="created"),
                ),
                Case(_ended("created", failed=4, completed=96), "25m"),
                Case(_ended("terms", failed=0.6, completed=0.6), "25m"),
            ),
        ),
        Alert(
            "TaskProcessesDie",
            f"sum by (job) (increase(task_process_restarts_total[15m])) > {2 * ATTEMPTS}",
            severity="ticket",
            layer="symptom",
            owner="services",
            pending="5m",
            summary='{{ $labels.job }}: {{ $value | printf "%.0f" }} processes of tasks died',
            description=(
                "In a quarter of an hour: tasks end their processes, or do not answer within their"
                f" time. One that does so every time costs {ATTEMPTS}, so it is not one alone."
            ),
            cases=(
                Case(_died("0+1x30"), "25m", _said("15 processes of tasks died")),
                Case(_died("0x10 5x20"), "18m"),
            ),
        ),
    ),
)

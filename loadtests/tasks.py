"""What has to become of the events of resources: a task each, and the rows of that task's own two.

`grpc-service` makes a task of each event, in the order of the resource's versions. A task has an
event when it is made and one when it is completed, which the event worker stores as it does those
of resources; they are numbered by themselves, through all tasks of a resource.

Nothing here talks to a network: callers bring the rows and the tasks.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.ledger import Ledger, Processed, Verdict
from services.contracts.topics import TASK_COMPLETED, TASK_PROCESS

LIFE = (TASK_PROCESS, TASK_COMPLETED)
"""The events of a task that went well."""
COMPLETED = "completed"


@dataclass(frozen=True)
class Task:
    """One row of ``grpcdb.tasks``; ``event_id`` is None for a task that a caller asked for."""

    id: str
    resource_id: str
    number: int
    action: str
    status: str
    event_id: str | None


@dataclass(frozen=True)
class TaskRow:
    """One row of ``workerdb.processed_events`` about a task; ``processed_at`` in epoch seconds."""

    seq: int
    event_type: str
    resource_id: str
    task_id: str
    action: str
    version: int
    processed_at: float


@dataclass(frozen=True)
class Found:
    """All that belongs to a run, in any order."""

    tasks: Sequence[Task]
    rows: Sequence[TaskRow]


def check(ledger: Ledger, events: Sequence[Processed], found: Found) -> Verdict:
    """Hold the tasks against the events that they are made of, which the ledger has checked.

    ``latencies`` are seconds from sending a create to the row of its task's end.
    """
    verdict = Verdict(acked=len(events), arrived=len(found.tasks))
    _check_tasks(events, found.tasks, verdict)
    _check_lives(found, verdict)
    for rows in _by_resource(found.rows).values():
        _check_order(rows, {task.id: task for task in found.tasks}, verdict)
    sent = {write.resource_id: write.sent_at for write in ledger.acked() if write.kind == "create"}
    first = {task.id for task in found.tasks if task.number == 1}
    verdict.latencies = [
        row.processed_at - sent[row.resource_id]
        for row in found.rows
        if row.event_type == TASK_COMPLETED and row.task_id in first and row.resource_id in sent
    ]
    return verdict


def _check_tasks(events: Sequence[Processed], tasks: Sequence[Task], verdict: Verdict) -> None:
    """Each event has one task, at the place among its resource's that its version says."""
    made: dict[str | None, list[Task]] = defaultdict(list)
    for task in tasks:
        made[task.event_id].append(task)
    for event in events:
        what = f"{event.event_type} version {event.version} of {event.resource_id}"
        of_event = made.pop(event.event_id, [])
        if not of_event:
            verdict.lost.append(f"{what} has no task")
        elif len(of_event) > 1:
            verdict.duplicated.append(f"{what} has {len(of_event)} tasks")
        for task in of_event:
            if (task.resource_id, task.action) != (event.resource_id, _verb(event)):
                verdict.phantom.append(f"{what} has a task {task.action} of {task.resource_id}")
            if task.number != event.version:
                verdict.reordered.append(f"{what} is task {task.number} of its resource")
            if task.status != COMPLETED:
                verdict.lost.append(f"the task of {what} is {task.status}")
    for event_id, strange in made.items():
        verdict.phantom += [f"task {task.id} is of event {event_id}" for task in strange]


def _check_lives(found: Found, verdict: Verdict) -> None:
    """Each task has a row of each of its events, and there are no others."""
    told: dict[str, list[TaskRow]] = defaultdict(list)
    for row in found.rows:
        told[row.task_id].append(row)
    for task in found.tasks:
        rows = told.pop(task.id, [])
        what = f"task {task.number} of {task.resource_id}"
        counts = Counter(row.event_type for row in rows)
        verdict.lost += [f"{what} has no row of {kind}" for kind in LIFE if not counts[kind]]
        verdict.duplicated += [
            f"{what} has {n} rows of {kind}" for kind, n in counts.items() if n > 1
        ]
        verdict.phantom += [f"{what} has a row of {kind}" for kind in counts if kind not in LIFE]
        verdict.phantom += [
            f"{what} has a row of {row.action} of {row.resource_id}"
            for row in rows
            if (row.resource_id, row.action) != (task.resource_id, task.action)
        ]
    verdict.phantom += [f"task {one} has rows and is none of this run" for one in told]


def _check_order(rows: list[TaskRow], tasks: dict[str, Task], verdict: Verdict) -> None:
    """One resource's rows by seq: versions run 1, 2, … n; tasks begin and end in their order."""
    resource = rows[0].resource_id
    versions = [row.version for row in rows]
    if versions != list(range(1, len(rows) + 1)):
        verdict.reordered.append(f"events of tasks of {resource} were processed as {versions[:12]}")
    for kind in LIFE:
        order = [
            tasks[r.task_id].number for r in rows if r.event_type == kind and r.task_id in tasks
        ]
        if order != sorted(order):
            verdict.reordered.append(f"{kind} of {resource} came in the order {order[:12]}")
    begun: set[str] = set()
    for row in rows:
        if row.event_type == TASK_PROCESS:
            begun.add(row.task_id)
        elif row.task_id not in begun:
            verdict.reordered.append(f"task {row.task_id} of {resource} ended before it was made")


def _by_resource(rows: Sequence[TaskRow]) -> dict[str, list[TaskRow]]:
    found: dict[str, list[TaskRow]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.seq):
        found[row.resource_id].append(row)
    return found


def _verb(event: Processed) -> str:
    return event.event_type.rpartition(".")[2]

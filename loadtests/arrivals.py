"""What became of a run's writes: the event worker's rows and the tasks, read over kubectl.

Postgres has no published port, so both come from psql in its pod. The clock of
``processed_at`` is the node's; on a node in a container it is this machine's own.
"""

import re
import time
from collections.abc import Callable, Sequence

from bootstrap.kube import Kube, KubeError
from loadtests.ledger import Ledger, Processed
from loadtests.tasks import LIFE, Found, Task, TaskRow

POLL_SECONDS = 1.0
OF_RESOURCES, OF_TASKS = "event_type LIKE 'resource.%'", "event_type LIKE 'task.%'"
"""Both kinds of rows have the resource's id, and each kind is numbered by itself."""
_PREFIX = re.compile(r"[a-z0-9-]{4,80}")
_ID = re.compile(r"[0-9a-f-]{36}")


def last_seq(kube: Kube) -> int:
    """The highest ``seq`` there is; rows of a run that starts now come after it."""
    return int(kube.psql("workerdb", "SELECT coalesce(max(seq), 0) FROM processed_events;"))


def of_run(prefix: str, after: int) -> str:
    """In SQL: rows with ``seq > after`` of resources whose name starts with ``prefix``, and of the
    tasks of these.

    Raises:
        ValueError: the prefix holds more than lower-case letters, digits and dashes.
    """
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"prefix {prefix!r} must be 4 to 80 lower-case letters, digits, dashes")
    return f"""seq > {int(after)} AND resource_id IN (
            SELECT resource_id FROM processed_events
            WHERE seq > {int(after)} AND payload ->> 'name' LIKE '{prefix}-%')"""  # noqa: S608


def rows_of(kube: Kube, prefix: str, after: int = 0) -> list[Processed]:
    """All rows of the events of a run's resources, by seq.

    Raises:
        KubeError: Postgres could not be asked.
        ValueError: the prefix is none.
    """
    statement = f"""
        SELECT json_build_array(seq, id, event_type, resource_id, aggregate_version,
                                payload ->> 'description', extract(epoch FROM processed_at))
        FROM processed_events
        WHERE {OF_RESOURCES} AND {of_run(prefix, after)}
        ORDER BY seq;
    """  # noqa: S608 - of_run() checks both values
    return [
        Processed(
            seq=int(row[0]),
            event_id=str(row[1]),
            event_type=str(row[2]),
            resource_id=str(row[3]),
            version=int(row[4]),
            marker=row[5],
            processed_at=float(row[6]),
        )
        for row in kube.sql("workerdb", statement)
    ]


def wait_for_all(
    kube: Kube,
    ledger: Ledger,
    prefix: str,
    after: int,
    *,
    seconds: float,
    on_poll: Callable[[int, int], None] = lambda _arrived, _missing: None,
) -> list[Processed]:
    """Read until every acknowledged write has its row, or ``seconds`` are over.

    ``on_poll`` gets the number of rows and of writes still missing. The rows read last are
    given back either way: the ledger's check says what is wrong with them. A single failed
    read is retried (the pod may be restarting); the last failure is raised at the end.

    Raises:
        KubeError: Postgres could not be asked until the time was over.
    """
    deadline = time.monotonic() + seconds
    while True:
        failed: KubeError | None = None
        try:
            rows = rows_of(kube, prefix, after)
        except KubeError as error:
            failed = error
        else:
            missing = ledger.missing(rows)
            on_poll(len(rows), missing)
            if missing == 0:
                return rows
            if time.monotonic() >= deadline:
                return rows
        if failed is not None and time.monotonic() >= deadline:
            raise failed
        time.sleep(POLL_SECONDS)


def wait_for_tasks(
    kube: Kube,
    prefix: str,
    after: int,
    *,
    seconds: float,
    on_poll: Callable[[int, int], None] = lambda _arrived, _missing: None,
) -> tuple[list[Processed], Found]:
    """Read a run's events and their tasks, once there are rows of all events of those or
    ``seconds`` are over; ``on_poll`` gets the number of such rows and of those still missing.

    The events are read anew: one that nobody acknowledged may have come meanwhile. As with
    ``wait_for_all`` what was found is given back either way, and failed looks are repeated.

    Raises:
        KubeError: Postgres could not be asked until the time was over.
    """
    deadline = time.monotonic() + seconds
    count = f"""
        SELECT json_build_array(count(*) FILTER (WHERE {OF_RESOURCES}),
                                count(*) FILTER (WHERE {OF_TASKS}))
        FROM processed_events WHERE {of_run(prefix, after)};
    """  # noqa: S608 - of_run() checks both values
    while True:
        over = time.monotonic() >= deadline
        try:
            ((events, there),) = kube.sql("workerdb", count)
            wanted = len(LIFE) * int(events)
            on_poll(there, wanted - there)
            if there >= wanted or over:
                rows = rows_of(kube, prefix, after)
                return rows, Found(_tasks(kube, rows), _rows_of_tasks(kube, prefix, after))
        except KubeError:
            if over:
                raise
        time.sleep(POLL_SECONDS)


def _tasks(kube: Kube, events: Sequence[Processed]) -> list[Task]:
    """The tasks of all resources that the events are of."""
    ids = sorted({event.resource_id for event in events})
    if wrong := [one for one in ids if not _ID.fullmatch(one)]:
        raise ValueError(f"resource id {wrong[0]!r} is none that our API has given")
    statement = f"""
        SELECT json_build_array(id, resource_id, number, action, status, event_id)
        FROM tasks WHERE resource_id = ANY (string_to_array('{",".join(ids)}', ','));
    """  # noqa: S608 - checked just above
    return [Task(*row) for row in kube.sql("grpcdb", statement)]


def _rows_of_tasks(kube: Kube, prefix: str, after: int) -> list[TaskRow]:
    statement = f"""
        SELECT json_build_array(seq, event_type, resource_id, task_id, action, aggregate_version,
                                extract(epoch FROM processed_at))
        FROM processed_events WHERE {OF_TASKS} AND {of_run(prefix, after)};
    """  # noqa: S608 - of_run() checks both values
    return [TaskRow(*row) for row in kube.sql("workerdb", statement)]

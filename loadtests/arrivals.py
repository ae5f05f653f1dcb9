"""What the event worker stored: rows of ``workerdb.processed_events``, read over kubectl.

Postgres has no published port, so the rows come from psql in its pod. The clock of
``processed_at`` is the node's; on a node in a container it is this machine's own.
"""

import re
import time
from collections.abc import Callable

from bootstrap.kube import Kube, KubeError
from loadtests.ledger import Ledger, Processed

POLL_SECONDS = 1.0
_PREFIX = re.compile(r"[a-z0-9-]{4,80}")


def last_seq(kube: Kube) -> int:
    """The highest ``seq`` there is; rows of a run that starts now come after it."""
    return int(kube.psql("workerdb", "SELECT coalesce(max(seq), 0) FROM processed_events;"))


def rows_of(kube: Kube, prefix: str, after: int = 0) -> list[Processed]:
    """All rows with ``seq > after`` of resources whose name starts with ``prefix``, by seq.

    Raises:
        KubeError: Postgres could not be asked.
        ValueError: the prefix holds more than lower-case letters, digits and dashes.
    """
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"prefix {prefix!r} must be 4 to 80 lower-case letters, digits, dashes")
    statement = f"""
        SELECT json_build_array(seq, id, event_type, resource_id, aggregate_version,
                                payload ->> 'description', extract(epoch FROM processed_at))
        FROM processed_events
        WHERE seq > {int(after)} AND resource_id IN (
            SELECT resource_id FROM processed_events
            WHERE seq > {int(after)} AND payload ->> 'name' LIKE '{prefix}-%')
        ORDER BY seq;
    """  # noqa: S608 - both values are checked just above
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

"""A stream of writes that runs in the background while a test breaks things."""

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from bootstrap.checkout import Checkout
from bootstrap.kube import Kube
from loadtests import arrivals, tasks, traffic
from loadtests.ledger import Ledger, Processed, Verdict
from loadtests.outcome import Outcome
from loadtests.pace import Pace
from loadtests.percentiles import percentile
from services.contracts.topics import RESOURCE_DELETED
from tests.e2e.cluster import wait_for

OUTBOXES = ("restdb", "grpcdb")
TASKS_SECONDS = 60.0
"""What tasks have at least when all events are there: they run one after the other."""


class Background:
    """A running stream; ``error`` holds what ended it early."""

    def __init__(self, checkout: Checkout, stream: traffic.Stream) -> None:
        self.stream = stream
        self.ledger = Ledger()
        self.answered = 0
        self.error: BaseException | None = None
        self.seconds = 0.0
        self._checkout = checkout
        self._writer: traffic.Traffic | None = None
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait_for_answers(self, count: int, *, seconds: float) -> None:
        """Return when so many writes were answered.

        Raises:
            AssertionError: the stream ended or stalled before.
        """
        deadline = time.monotonic() + seconds
        while self.answered < count:
            assert self._thread.is_alive(), f"the stream ended at {self.answered} ({self.error!r})"
            assert time.monotonic() < deadline, f"{self.answered} of {count} after {seconds:.0f} s"
            time.sleep(0.02)

    def hurry(self) -> None:
        """What is left of the stream is written as fast as answers come."""
        assert self._writer is not None, "the stream has not begun"
        self._writer.pace = Pace(None)

    def wait_for_acknowledged(self, count: int, *, seconds: float) -> None:
        """Return when so many writes were acknowledged.

        Raises:
            AssertionError: the stream ended or stalled before.
        """
        deadline = time.monotonic() + seconds
        while (there := self.acknowledged) < count:
            assert self._thread.is_alive(), f"the stream ended at {there} ({self.error!r})"
            assert time.monotonic() < deadline, f"{there} of {count} after {seconds:.0f} s"
            time.sleep(0.2)

    @property
    def acknowledged(self) -> int:
        return len(self.ledger.acked())

    def stop(self) -> None:
        """Begin no further resource."""
        assert self._writer is not None, "the stream has not begun"
        self._writer.enough = True

    def finish(self, *, seconds: float) -> None:
        """Wait for the last answer."""
        self._thread.join(timeout=seconds)
        assert not self._thread.is_alive(), f"only {self.answered} answers after {seconds:.0f} s"
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        began = time.monotonic()
        try:
            asyncio.run(self._write())
        except BaseException as error:  # handed to the test's own thread
            self.error = error
        self.seconds = time.monotonic() - began

    async def _write(self) -> None:
        async with traffic.client(self._checkout, self.stream.concurrency) as http:
            self._writer = traffic.Traffic(http, self.ledger, on_answer=self._count)
            await self._writer.run(self.stream)

    def _count(self, answered: int) -> None:
        self.answered = answered


@contextlib.contextmanager
def background(checkout: Checkout, stream: traffic.Stream) -> Iterator[Background]:
    """Start the stream, and see that it is over before the test goes on after the block."""
    running = Background(checkout, stream)
    running.start()
    yield running
    running.finish(seconds=240)


def write_now(checkout: Checkout, stream: traffic.Stream) -> Ledger:
    """Write a whole stream and give its ledger."""
    with background(checkout, stream) as running:
        pass
    return running.ledger


def arrived_in_order(
    kube: Kube,
    ledger: Ledger,
    prefix: str,
    after: int,
    *,
    seconds: float,
    say: Callable[[str], None],
) -> tuple[Verdict, list[Processed]]:
    """Wait for every acknowledged write and for the tasks of them, then judge; fails on any loss,
    repeat or reordering.

    What is found is compared a second time, by SQL in workerdb over sets, so that a mistake in
    the ledger's own matching cannot hide one of the platform's.
    """
    deadline = time.monotonic() + seconds
    on_poll = _now_and_then(say, "events processed, {} acknowledged writes still on their way")
    arrivals.wait_for_all(kube, ledger, prefix, after, seconds=seconds, on_poll=on_poll)
    rows, found = arrivals.wait_for_tasks(
        kube, prefix, after,
        seconds=max(TASKS_SECONDS, deadline - time.monotonic()),
        on_poll=_now_and_then(say, "events of tasks processed, {} still on their way"),
    )  # fmt: skip
    verdict = ledger.check(rows)
    assert not verdict.faults, verdict.explain()
    counts = ledger.counts()
    surplus = len(rows) - counts[Outcome.ACKED]
    assert surplus == len(verdict.arrived_unacked) <= counts[Outcome.UNKNOWN]
    of_tasks = tasks.check(ledger, rows, found)
    assert not of_tasks.faults, of_tasks.explain()
    say(
        f"{len(rows)} events and {len(found.tasks)} tasks, in order; POST to the end of its task"
        f" p50 {percentile(of_tasks.latencies, 0.5):.2f} s"
    )
    differences = differences_by_sql(kube, ledger, prefix, after)
    assert not any(differences.values()), differences
    return verdict, rows


def _now_and_then(say: Callable[[str], None], what: str) -> Callable[[int, int], None]:
    shown = [0.0]

    def on_poll(arrived: int, missing: int) -> None:
        if time.monotonic() - shown[0] > 5:
            shown[0] = time.monotonic()
            say(f"{arrived} {what.format(missing)}")

    return on_poll


def differences_by_sql(kube: Kube, ledger: Ledger, prefix: str, after: int) -> dict[str, int]:
    """Acknowledged writes against rows, as sets in SQL: how many lost, repeated, out of order; and
    how many events of tasks are out of order, or not those of the resource's event in that place.
    """
    lines = "\n".join(_copy_lines(ledger))
    script = f"""
        CREATE TEMP TABLE acked (resource_id text, marker text);
        COPY acked FROM STDIN;\n{lines}\n\\.
        CREATE TEMP TABLE rows_of_run AS
            SELECT * FROM processed_events WHERE {arrivals.of_run(prefix, after)};
        CREATE TEMP TABLE arrived AS
            SELECT seq, resource_id, action, aggregate_version AS version,
                   coalesce(payload ->> 'description', event_type) AS marker
            FROM rows_of_run WHERE {arrivals.OF_RESOURCES};
        CREATE TEMP TABLE told AS
            SELECT event_type, resource_id, action, aggregate_version AS version,
                   row_number() OVER (PARTITION BY resource_id ORDER BY seq) AS place,
                   row_number() OVER (PARTITION BY resource_id, event_type ORDER BY seq) AS nth
            FROM rows_of_run WHERE {arrivals.OF_TASKS};
        SELECT json_build_object(
            'lost', (SELECT count(*) FROM (SELECT resource_id, marker FROM acked EXCEPT
                                           SELECT resource_id, marker FROM arrived) AS lost),
            'twice', (SELECT count(*) - count(DISTINCT (resource_id, marker)) FROM arrived),
            'disordered', (SELECT count(*) FROM (
                SELECT version, row_number() OVER (PARTITION BY resource_id ORDER BY seq) AS place
                FROM arrived) AS ranked WHERE version <> place),
            'tasks_disordered', (SELECT count(*) FROM told WHERE version <> place),
            'tasks_of_others', (SELECT count(*)
                FROM (SELECT resource_id, version AS nth, action, event_type
                      FROM arrived CROSS JOIN unnest(ARRAY['{"', '".join(tasks.LIFE)}'])
                           AS life(event_type)) AS wanted
                FULL JOIN told USING (resource_id, nth, event_type)
                WHERE wanted.action IS DISTINCT FROM told.action));
    """
    (answer,) = kube.sql("workerdb", script)
    return answer


def _copy_lines(ledger: Ledger) -> Sequence[str]:
    return [
        f"{write.resource_id}\t{RESOURCE_DELETED if write.kind == 'delete' else write.marker}"
        for write in ledger.acked()
    ]


def unsent_events(kube: Kube, prefix: str | None = None, *, database: str = "restdb") -> int:
    """Events that wait in the outbox: all, or those of a run's resources that still exist."""
    mine = f"""
        AND aggregate_id IN (SELECT id FROM resources WHERE name LIKE '{prefix}-%')"""
    statement = f"""
        SELECT count(*) FROM outbox_events WHERE processed_at IS NULL {mine if prefix else ""}"""
    (count,) = kube.sql(database, statement)
    return int(count)


def wait_until_sent(kube: Kube, *, seconds: float) -> None:
    """Until no event waits in any outbox; ``seconds`` are for each."""
    for database in OUTBOXES:
        wait_for(
            f"the outbox in {database} to be drained",
            lambda database=database: unsent_events(kube, database=database) == 0,
            seconds=seconds,
        )


def longest_silence(rows: Sequence[Processed], start: float, end: float) -> float:
    """The longest time between ``start`` and ``end`` (epoch seconds) without a processed event."""
    inside = sorted(row.processed_at for row in rows if start <= row.processed_at <= end)
    points = [start, *inside, end]
    return max(late - early for early, late in itertools.pairwise(points))

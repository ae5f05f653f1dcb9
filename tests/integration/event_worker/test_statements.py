"""The worker's transactions on a real database: their number, their locks, their partitions."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from services.contracts.envelope import MAX_VERSION
from services.contracts.ids import new_id
from services.contracts.topics import (
    RESOURCE_CREATED,
    RESOURCE_DELETED,
    RESOURCE_UPDATED,
    TASK_COMPLETED,
    TASK_PROCESS,
)
from services.event_worker import upkeep
from services.event_worker.metrics import WorkerMetrics
from services.event_worker.records import to_record
from services.event_worker.rows import ProcessedEvents
from services.event_worker.settings import WorkerSettings
from services.event_worker.upkeep import PROCESSED, tend_tables
from services.shared.inbox import store as store_module
from services.shared.inbox.processing import Processor
from services.shared.inbox.records import HeldRecord, Record
from services.shared.inbox.store import BadRecordError, Inbox
from services.shared.postgres import partitions
from services.shared.postgres.database import Database, DatabaseUnavailableError
from services.shared.postgres.partitions import create_ahead, lower_bound, partitions_of
from services.shared.runtime.settings import DatabaseSettings
from tests.harness.traces import CALLER
from tests.integration.authority import PATIENCE
from tests.integration.clock import MonthAhead
from tests.integration.counting import CountingDatabase
from tests.integration.event_worker.messages import Rows


@dataclass(frozen=True)
class Received:
    """A message; a bad one is good text that jsonb refuses."""

    name: str
    bad: bool = False
    event_id: str = field(default_factory=new_id)

    def topic(self) -> str:
        return RESOURCE_CREATED

    def key(self) -> bytes:
        return self.name.encode()

    def value(self) -> bytes:
        return json.dumps({"id": self.name, "note": "\0" if self.bad else ""}).encode()

    def headers(self) -> list[tuple[str, bytes]]:
        return [("event_id", self.event_id.encode()), ("aggregate_version", b"1")]


@pytest.fixture
async def database(workerdb: DatabaseSettings) -> AsyncIterator[CountingDatabase]:
    made = CountingDatabase(
        workerdb,
        CollectorRegistry(),
        application_name="test",
        connect_timeout=PATIENCE,
        command_timeout=PATIENCE,
    )
    made.statements = []
    await made.open()
    yield made
    await made.close()


def record(aggregate: str, version: int | None, **changes: Any) -> Record:
    values: dict[str, Any] = {
        "id": new_id(),
        "event_type": RESOURCE_UPDATED,
        "aggregate": aggregate,
        "version": version,
        "payload": "{}",
    }
    return Record(**values | changes)


def inbox_of(database: Database) -> Inbox:
    return Inbox(database, ProcessedEvents(), 600)


async def test_a_batch_costs_the_same_statements_whatever_its_size(
    database: CountingDatabase, rows: Rows
) -> None:
    inbox = inbox_of(database)
    await inbox.process([record("first", 1), record("first", 3)])
    counts: list[int] = []
    for size in (1, 500):
        database.statements.clear()
        outcome = await inbox.process([record(f"size-{size}-{n}", 1) for n in range(size)])
        assert len(outcome.processed) == size
        counts.append(len([s for s in database.statements if s not in ("BEGIN;", "COMMIT;")]))
    assert counts == [5, 5]
    assert await rows.count() == 502


async def test_a_long_queue_is_read_only_when_its_turn_comes_and_then_in_parts(
    database: CountingDatabase, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    held_of = store_module._held

    def counting(found: Sequence[asyncpg.Record]) -> list[HeldRecord]:
        read.append(len(found))
        return held_of(found)

    monkeypatch.setattr(store_module, "_held", counting)
    inbox = inbox_of(database)
    queue = [record("queue", version) for version in range(2, 252)]
    assert len((await inbox.process(queue)).held) == 250
    assert len((await inbox.process([record("queue", 300)])).held) == 1
    assert len((await inbox.process(queue[:5])).duplicate) == 5
    outcome = await inbox.process([record("queue", 1)])
    assert len(outcome.processed) == 251
    assert read == [0, 0, 0, 100, 100, 51]
    assert await rows.versions() == {"queue": list(range(1, 252))}
    assert await rows.count("inbox_held") == 1


async def test_a_queue_cut_off_midway_goes_on_with_the_next_delivery(
    database: CountingDatabase, rows: Rows
) -> None:
    inbox = inbox_of(database)
    await inbox.process([record("cut", version) for version in range(2, 252)])
    first = record("cut", 1)
    await inbox._process([first], None)  # and the worker dies
    assert await rows.count() == 101
    await inbox.process([first])
    assert await rows.versions() == {"cut": list(range(1, 252))}


async def test_an_event_that_was_held_has_the_effect_that_it_would_have_had(
    database: CountingDatabase, rows: Rows
) -> None:
    inbox = inbox_of(database)
    # jsonb writes the number out, with more digits than Python reads.
    payload = '{"task_id": "t", "resource_id": "r", "action": "scan", "n": 1e9999}'
    ended = record(
        "tasks:r",
        2,
        event_type=TASK_COMPLETED,
        payload=payload,
        correlation_id="c",
        traceparent=CALLER,
        last=True,
    )
    assert (await inbox.process([ended])).held == [ended]
    first = record("tasks:r", 1, event_type=TASK_PROCESS, payload="{}")
    found = (await inbox.process([first])).processed
    assert found == [first, replace(ended, payload=found[1].payload)]
    unsaid, said = await rows.all()
    assert (unsaid["resource_id"], unsaid["task_id"], unsaid["action"]) == (None, None, "process")
    assert (said["resource_id"], said["task_id"], said["action"]) == ("r", "t", "scan")
    assert (said["aggregate_version"], said["correlation_id"]) == (2, "c")
    assert await rows.connection.fetchval("SELECT ended FROM inbox_progress")


async def test_what_a_resource_says_of_a_task_is_not_what_its_row_is_about(
    database: CountingDatabase, rows: Rows
) -> None:
    payload = '{"id": "r", "resource_id": "other", "task_id": "t", "action": "scan"}'
    await inbox_of(database).process([record("r", 1, payload=payload)])
    [row] = await rows.all()
    assert (row["resource_id"], row["task_id"], row["action"]) == ("r", None, "updated")


async def test_a_long_queue_behind_a_gap_is_released_whole(
    database: CountingDatabase, rows: Rows
) -> None:
    inbox = inbox_of(database)
    await inbox.process([record("gap", version) for version in range(3, 253) if version != 200])
    # Only the last one is overdue; it is beyond the first part that is read.
    await rows.held_long_ago("version = 252")
    horizon = (await inbox.waiting()).horizon
    outcome = await inbox.release_gaps(horizon)
    while more := await inbox.release_gaps(horizon):
        outcome.add(more)
    assert (len(outcome.processed), outcome.gaps) == (249, 2)
    assert await rows.count("inbox_held") == 0


async def test_one_round_gives_up_every_gap_that_is_overdue_and_no_other(
    database: CountingDatabase, rows: Rows
) -> None:
    inbox = inbox_of(database)
    await inbox.process([record(f"many-{n}", 2) for n in range(250)])
    await rows.held_long_ago()
    await inbox.process([record("patient", 2)])
    metrics = WorkerMetrics(CollectorRegistry())
    await Processor(inbox, metrics, to_record).release_gaps((await inbox.waiting()).horizon)
    assert await rows.count() == 250
    left = await inbox.waiting()
    assert (left.held, left.overdue) == (1, 0)


async def test_workers_with_resources_in_common_neither_deadlock_nor_mix_up_the_order(
    database: CountingDatabase, rows: Rows
) -> None:
    choice = random.Random(7)
    inbox = inbox_of(database)
    events = [record(f"shared-{n}", version) for n in range(20) for version in range(1, 31)]
    choice.shuffle(events)
    batches = [events[i : i + 25] for i in range(0, len(events), 25)]

    async def work(mine: list[list[Record]]) -> None:
        for batch in mine:
            await inbox.process(batch)

    await asyncio.gather(*(work(batches[n::4]) for n in range(4)))
    assert await rows.count() == 600
    assert set(map(tuple, (await rows.versions()).values())) == {tuple(range(1, 31))}
    assert await rows.count("inbox_held") == 0


async def test_a_refused_record_leaves_nothing_of_its_batch(
    database: CountingDatabase, rows: Rows
) -> None:
    inbox = inbox_of(database)
    with pytest.raises(BadRecordError):
        await inbox.process([record("good", 1), record("bad", 1, payload='{"a": "\\ud800"}')])
    assert await rows.count() == 0
    assert await rows.count("inbox_progress") == 0


async def test_the_highest_version_there_is_does_not_shut_its_resource(
    database: CountingDatabase, rows: Rows
) -> None:
    inbox = inbox_of(database)
    await inbox.process([record("top", MAX_VERSION)])
    await rows.held_long_ago()
    released = await inbox.release_gaps((await inbox.waiting()).horizon)
    assert (len(released.processed), released.gaps) == (1, 1)
    outcome = await inbox.process([record("top", MAX_VERSION - 1), record("other", 1)])
    assert (len(outcome.late), len(outcome.processed)) == (1, 1)


async def test_a_record_that_is_refused_is_found_in_few_transactions(
    database: CountingDatabase, rows: Rows
) -> None:
    processor = Processor(inbox_of(database), WorkerMetrics(CollectorRegistry()), to_record)
    messages = [Received(f"r-{n}", bad=n == 100) for n in range(256)]
    (refused,) = await processor.process(messages)
    assert refused.message is messages[100]
    assert await rows.count() == 255
    # Of each size, from 256 to 1, the half with the record, and the other one.
    assert len([s for s in database.statements if s == "BEGIN;"]) == 1 + 2 * 8


@pytest.mark.parametrize("sleeps", ["processed_events", "inbox_held"])
async def test_a_queue_that_cannot_be_moved_in_time_is_moved_in_smaller_parts(
    workerdb: DatabaseSettings, database: CountingDatabase, rows: Rows, sleeps: str
) -> None:
    patient = inbox_of(database)
    await patient.process([record("slow", version) for version in range(2, 102)])
    when = "BEFORE INSERT" if sleeps == "processed_events" else "BEFORE DELETE"
    await rows.slow_down(sleeps, when, 0.05)
    await rows.held_long_ago()
    hasty = Database(
        workerdb,
        CollectorRegistry(),
        application_name="test",
        connect_timeout=PATIENCE,
        command_timeout=2,
    )
    await hasty.open()
    inbox = inbox_of(hasty)
    failures = 0
    while (waiting := await patient.waiting()).held:
        try:
            await inbox.release_gaps(waiting.horizon)
        except DatabaseUnavailableError:
            failures += 1
            assert failures < 20
    await hasty.close()
    assert failures > 0
    assert await rows.versions() == {"slow": list(range(2, 102))}


async def test_upkeep_drops_days_past_retention_and_forgets_resources_long_deleted(
    database: CountingDatabase, rows: Rows
) -> None:
    inbox = inbox_of(database)
    today = datetime.now(UTC).date()
    old = today - timedelta(days=20)
    await inbox.process([record("old", 1, id=lower_bound(old))])
    await create_ahead(rows.connection, PROCESSED, old, 0)
    await inbox.process(
        [record("gone", 1, event_type=RESOURCE_DELETED, last=True), record("here", 1)]
    )
    await rows.connection.execute(
        "UPDATE inbox_progress SET updated_at = now() - interval '20 days'"
    )
    await rows.connection.execute(
        "UPDATE processed_events SET processed_at = now() - interval '20 days'"
    )
    await tend_tables(database, inbox, WorkerSettings(partitions_ahead_days=5), 15)
    names = await partitions_of(rows.connection, PROCESSED)
    assert PROCESSED.partition(old) not in names
    assert PROCESSED.partition(today + timedelta(days=5)) in names
    left = await rows.connection.fetch("SELECT aggregate FROM inbox_progress ORDER BY 1")
    assert [row["aggregate"] for row in left] == ["here", "old"]


@pytest.mark.usefixtures("no_midnight")  # before `workerdb`, which has tables of its days
async def test_upkeep_goes_by_the_servers_day_whatever_the_pods_clock_says(
    database: CountingDatabase, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (upkeep, partitions):
        monkeypatch.setattr(module, "datetime", MonthAhead, raising=False)
    today = datetime.now(UTC).date()
    before = await partitions_of(rows.connection, PROCESSED)
    assert PROCESSED.partition(today) in before
    settings = WorkerSettings(partitions_ahead_days=3)
    await tend_tables(database, inbox_of(database), settings, 3)
    assert await partitions_of(rows.connection, PROCESSED) == before


async def test_an_event_published_weeks_after_its_making_is_remembered_as_long_as_any_other(
    database: CountingDatabase, rows: Rows
) -> None:
    inbox, settings = inbox_of(database), WorkerSettings()
    with_a_partition = datetime.now(UTC).date() - timedelta(days=40)
    without = with_a_partition - timedelta(days=3)
    await create_ahead(rows.connection, PROCESSED, with_a_partition, 0)
    late = [
        record("unparked", n + 1, id=lower_bound(day))
        for n, day in enumerate((with_a_partition, without))
    ]
    assert len((await inbox.process(late)).processed) == 2
    await tend_tables(database, inbox, settings, 15)
    assert len((await inbox.process(late)).duplicate) == 2
    await rows.connection.execute(
        "UPDATE processed_events SET processed_at = now() - interval '15 days'"
    )
    await tend_tables(database, inbox, settings, 15)
    assert await rows.count() == 0
    names = await partitions_of(rows.connection, PROCESSED)
    assert PROCESSED.partition(with_a_partition) not in names

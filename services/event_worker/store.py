"""The worker's transactions: inbox, order and effect in one, whatever the size of the batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import asyncpg

from services.event_worker.records import HeldRecord, Record
from services.event_worker.sequencing import Decision, Progress, reached, release_gaps, sequence
from services.shared.database import Connection, Database

# Rows are made and locked in sorted order, so that two workers with resources in common wait for
# each other and never in a circle.
_CREATE = """
INSERT INTO resource_progress (resource_id)
SELECT r FROM unnest($1::text[]) WITH ORDINALITY AS t(r, place) ORDER BY place
ON CONFLICT (resource_id) DO NOTHING
"""
_LOCK = """
SELECT resource_id, version, deleted FROM resource_progress
WHERE resource_id = ANY ($1::text[]) ORDER BY resource_id FOR UPDATE
"""
# What is held for a resource may be much: it is read only when its turn may have come, that is
# when its lowest version is at most $2, and then a part at a time, from the lowest.
_HELD = """
SELECT h.*, false AS overdue
FROM unnest($1::text[], $2::bigint[]) AS t(resource_id, upto)
CROSS JOIN LATERAL (
    SELECT resource_id, version, id::text AS id, event_type, task_id, action,
           payload::text AS payload, correlation_id, held_at
    FROM held_events WHERE resource_id = t.resource_id ORDER BY version, id LIMIT $3) AS h
WHERE EXISTS (
    SELECT 1 FROM held_events WHERE resource_id = t.resource_id AND version <= t.upto)
ORDER BY h.resource_id, h.version, h.held_at
"""
# Overdue is also what waits before something overdue.
_HELD_LONG = """
SELECT h.*, h.version <= t.upto AS overdue
FROM (SELECT resource_id, max(version) AS upto FROM held_events
      WHERE resource_id = ANY ($1::text[]) AND held_at < clock_timestamp() - $2::interval
      GROUP BY resource_id) AS t
CROSS JOIN LATERAL (
    SELECT resource_id, version, id::text AS id, event_type, task_id, action,
           payload::text AS payload, correlation_id, held_at
    FROM held_events WHERE resource_id = t.resource_id ORDER BY version, id LIMIT $3) AS h
ORDER BY h.resource_id, h.version, h.held_at
"""
_HELD_LIMIT = 100
# Inbox and effect are one row here: the event's id is the primary key, and a repeat inserts
# nothing. ORDER BY makes seq rise in the order of `apply`.
_APPLY = """
INSERT INTO processed_events (id, event_type, resource_id, task_id, action, payload,
                              aggregate_version, correlation_id)
SELECT id, event_type, resource_id, task_id, action, payload::jsonb, version, correlation_id
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
            $8::text[]) WITH ORDINALITY
     AS t(id, event_type, resource_id, task_id, action, payload, version, correlation_id, place)
ORDER BY place
ON CONFLICT (id) DO NOTHING
RETURNING id::text AS id
"""
_PROGRESS = """
UPDATE resource_progress p
SET version = t.version, deleted = t.deleted, updated_at = clock_timestamp()
FROM unnest($1::text[], $2::bigint[], $3::boolean[]) AS t(resource_id, version, deleted)
WHERE p.resource_id = t.resource_id
"""
_HOLD = """
INSERT INTO held_events (id, event_type, resource_id, task_id, action, payload, version,
                         correlation_id)
SELECT id, event_type, resource_id, task_id, action, payload::jsonb, version, correlation_id
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
            $8::text[])
     AS t(id, event_type, resource_id, task_id, action, payload, version, correlation_id)
ON CONFLICT DO NOTHING
RETURNING id::text AS id
"""
_LIFT = "DELETE FROM held_events WHERE resource_id = ANY ($1::text[]) AND id = ANY ($2::uuid[])"
_OVERDUE = """
SELECT resource_id, version, deleted FROM resource_progress
WHERE resource_id IN (
    SELECT resource_id FROM held_events WHERE held_at < clock_timestamp() - $1::interval
    ORDER BY held_at LIMIT 100)
ORDER BY resource_id FOR UPDATE SKIP LOCKED
"""
_COUNT_HELD = "SELECT count(*) AS held FROM held_events"
_FORGET = """
DELETE FROM resource_progress WHERE resource_id IN (
    SELECT resource_id FROM resource_progress p
    WHERE deleted AND updated_at < clock_timestamp() - $1::interval
      AND NOT EXISTS (SELECT 1 FROM held_events h WHERE h.resource_id = p.resource_id)
    ORDER BY resource_id LIMIT 10000 FOR UPDATE SKIP LOCKED)
"""


class BadRecordError(Exception):
    """The database refuses the content of a record for good."""


@dataclass(slots=True)
class Outcome:
    """What a transaction did, as lists of records."""

    processed: list[Record] = field(default_factory=list[Record])
    late: list[Record] = field(default_factory=list[Record])
    duplicate: list[Record] = field(default_factory=list[Record])
    held: list[Record] = field(default_factory=list[Record])
    skipped_versions: int = 0

    def add(self, other: Outcome) -> None:
        """Count what a further transaction did."""
        for name, records in other.by_name().items():
            self.by_name()[name].extend(records)
        self.skipped_versions += other.skipped_versions

    def by_name(self) -> dict[str, list[Record]]:
        """The lists by the value of the metric's label."""
        return {
            "processed": self.processed,
            "late": self.late,
            "duplicate": self.duplicate,
            "held": self.held,
        }


def is_bad_record(error: BaseException) -> bool:
    """Whether the database blames the data: class 22, 23 or 54, or a value it cannot be sent."""
    if isinstance(error, asyncpg.PostgresError):
        # A tuple, not one string: sqlstate is absent from some of asyncpg's own errors.
        return str(getattr(error, "sqlstate", ""))[:2] in {"22", "23", "54"}
    return isinstance(error, ValueError)


class EventStore:
    """Transactions over workerdb. All methods raise DatabaseUnavailableError."""

    def __init__(self, database: Database, gap_deadline_seconds: float) -> None:
        self._database = database
        self._deadline = timedelta(seconds=gap_deadline_seconds)

    async def process(self, records: Sequence[Record]) -> Outcome:
        """Store `records` in one transaction: those whose turn it is, and the rest as held.

        What this lets go of a long queue of held events follows in further transactions.
        Raises BadRecordError when the data of any record is refused; then nothing is stored.
        """
        outcome, unfinished = await self._process(records, None)
        await self._finish(outcome, unfinished)
        return outcome

    async def _finish(self, outcome: Outcome, unfinished: list[str]) -> None:
        while unfinished:
            more, unfinished = await self._process((), unfinished)
            outcome.add(more)

    async def _process(
        self, records: Sequence[Record], resources: list[str] | None
    ) -> tuple[Outcome, list[str]]:
        gated = resources or sorted({r.resource_id for r in records if r.version and r.resource_id})
        try:
            async with self._database.connection() as connection, connection.transaction():
                progress: dict[str, Progress] = {}
                held: list[HeldRecord] = []
                if gated:
                    await connection.execute(_CREATE, gated)
                    progress = _progress(await connection.fetch(_LOCK, gated))
                    # A statement of its own: its snapshot must be younger than the locks.
                    upto = [version + 1 for version in reached(gated, records, progress)]
                    held = _held(await connection.fetch(_HELD, gated, upto, _HELD_LIMIT))
                decision = sequence(records, progress, held)
                return await self._write(connection, decision), _unfinished(held, decision)
        except Exception as error:
            if is_bad_record(error):
                raise BadRecordError(f"{type(error).__name__}: {error}") from error
            raise

    async def release_gaps(self) -> Outcome:
        """Let go what has waited beyond the deadline, of 100 resources at a time."""
        outcome = Outcome()
        while True:
            async with self._database.connection() as connection, connection.transaction():
                progress = _progress(await connection.fetch(_OVERDUE, self._deadline))
                rows = await connection.fetch(
                    _HELD_LONG, sorted(progress), self._deadline, _HELD_LIMIT
                )
                decision = release_gaps(progress, held := _held(rows))
                outcome.add(await self._write(connection, decision))
                unfinished = _unfinished(held, decision)
            if not unfinished:
                return outcome
            await self._finish(outcome, unfinished)

    async def count_held(self) -> int:
        """How many events are held for any resource."""
        row = await self._database.fetchrow(_COUNT_HELD)
        return row["held"] if row else 0

    async def forget_deleted(self, retention_days: int) -> None:
        """Drop the progress of resources deleted longer ago than any message can come again."""
        async with self._database.connection() as connection:
            await connection.execute(_FORGET, timedelta(days=retention_days))

    async def _write(self, connection: Connection, decision: Decision) -> Outcome:
        stored: set[str] = set()
        if decision.apply:
            rows = await connection.fetch(_APPLY, *_columns(decision.apply))
            stored = {row["id"] for row in rows}
        if decision.progress:
            await connection.execute(
                _PROGRESS,
                list(decision.progress),
                [progress.version for progress in decision.progress.values()],
                [progress.deleted for progress in decision.progress.values()],
            )
        if decision.hold:
            rows = await connection.fetch(_HOLD, *_columns(decision.hold))
            new = {row["id"] for row in rows}
            decision.repeats += [record for record in decision.hold if record.id not in new]
            decision.hold = [record for record in decision.hold if record.id in new]
        if decision.lift:
            await connection.execute(
                _LIFT,
                sorted({record.resource_id or "" for record in decision.lift}),
                [record.id for record in decision.lift],
            )
        return _outcome(decision, stored)


def _unfinished(held: Sequence[HeldRecord], decision: Decision) -> list[str]:
    """The resources of which all that was read took effect, and of which there may be more."""
    read = Counter(item.record.resource_id or "" for item in held)
    lifted = Counter(record.resource_id or "" for record in decision.lift)
    return sorted(r for r, count in read.items() if count == _HELD_LIMIT == lifted[r])


def _outcome(decision: Decision, stored: set[str]) -> Outcome:
    outcome = Outcome(
        held=decision.hold, duplicate=list(decision.repeats), skipped_versions=decision.skipped
    )
    for record in decision.apply:
        if record.id not in stored:
            outcome.duplicate.append(record)
            continue
        # Once only: the same message twice in a batch is one row and one duplicate.
        stored.discard(record.id)
        (outcome.late if record.id in decision.stale else outcome.processed).append(record)
    return outcome


def _columns(records: Sequence[Record]) -> list[list[object]]:
    return [
        [r.id for r in records],
        [r.event_type for r in records],
        [r.resource_id for r in records],
        [r.task_id for r in records],
        [r.action for r in records],
        [r.payload for r in records],
        [r.version for r in records],
        [r.correlation_id for r in records],
    ]


def _progress(rows: Sequence[asyncpg.Record]) -> dict[str, Progress]:
    return {row["resource_id"]: Progress(row["version"], row["deleted"]) for row in rows}


def _held(rows: Sequence[asyncpg.Record]) -> list[HeldRecord]:
    return [
        HeldRecord(
            record=Record(
                id=row["id"],
                event_type=row["event_type"],
                resource_id=row["resource_id"],
                task_id=row["task_id"],
                action=row["action"],
                payload=row["payload"],
                version=row["version"],
                correlation_id=row["correlation_id"],
            ),
            held_at=row["held_at"],
            overdue=row["overdue"],
        )
        for row in rows
    ]

"""The worker's transactions: inbox, order and effect in one, whatever the size of the batch."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import asyncpg

from services.contracts.envelope import MAX_VERSION
from services.event_worker import statements
from services.event_worker.records import HeldRecord, Record
from services.event_worker.sequencing import Decision, Progress, reached, release_gaps, sequence
from services.shared.postgres.database import Connection, Database
from services.shared.runtime.sizing import FittingSize

# How many held events of one resource a transaction reads at most, and how many overdue resources.
_PART = 100


class BadRecordError(Exception):
    """The database refuses the content of a record for good."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many events are held, and how many of them since before `horizon`, the deadline ago."""

    held: int
    overdue: int
    horizon: datetime


@dataclass(slots=True)
class Tally:
    """What became of the records of a transaction."""

    processed: list[Record] = field(default_factory=list[Record])
    late: list[Record] = field(default_factory=list[Record])
    duplicate: list[Record] = field(default_factory=list[Record])
    held: list[Record] = field(default_factory=list[Record])
    gaps: int = 0

    def add(self, other: Tally) -> None:
        """Count what a further transaction did."""
        for name, records in other.by_name().items():
            self.by_name()[name].extend(records)
        self.gaps += other.gaps

    def __bool__(self) -> bool:
        return any(self.by_name().values())

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
        self._part = FittingSize(_PART)

    async def process(self, records: Sequence[Record]) -> Tally:
        """Store `records` in one transaction: those whose turn it is, and the rest as held.

        What this lets go of a long queue of held events follows in further transactions.
        Raises BadRecordError when the data of any record is refused; then nothing is stored.
        """
        tally, unfinished = await self._process(records, None)
        await self._finish(tally, unfinished)
        return tally

    async def _finish(self, tally: Tally, unfinished: list[str]) -> None:
        while unfinished:
            more, unfinished = await self._process((), unfinished)
            tally.add(more)

    async def _process(
        self, records: Sequence[Record], resources: list[str] | None
    ) -> tuple[Tally, list[str]]:
        gated = resources or sorted({r.resource_id for r in records if r.version and r.resource_id})
        limit = self._part.now
        try:
            async with self._transaction() as connection:
                progress: dict[str, Progress] = {}
                held: list[HeldRecord] = []
                if gated:
                    await connection.execute(statements.CREATE, gated)
                    progress = _progress(await connection.fetch(statements.LOCK, gated))
                    # A statement of its own: its snapshot must be younger than the locks.
                    next_up = [
                        min(version + 1, MAX_VERSION)
                        for version in reached(gated, records, progress)
                    ]
                    held = _held(await connection.fetch(statements.HELD, gated, next_up, limit))
                decision = sequence(records, progress, held)
                return await self._write(connection, decision), _unfinished(held, decision, limit)
        except Exception as error:
            if is_bad_record(error):
                raise BadRecordError(f"{type(error).__name__}: {error}") from error
            raise

    async def waiting(self) -> Waiting:
        """What is held for any resource, by the database's clock."""
        row = await self._database.fetchrow(statements.WAITING, self._deadline)
        assert row is not None  # an aggregate
        return Waiting(row["held"], row["overdue"], row["horizon"])

    async def release_gaps(self, horizon: datetime) -> Tally:
        """Let go what has been held since before `horizon`, of some resources at a time.

        An empty tally says that nothing is left, or that another worker has it in hand.
        """
        limit = self._part.now
        async with self._transaction() as connection:
            progress = _progress(await connection.fetch(statements.OVERDUE, horizon, limit))
            rows = await connection.fetch(statements.HELD_LONG, sorted(progress), horizon, limit)
            decision = release_gaps(progress, held := _held(rows))
            tally = await self._write(connection, decision)
            unfinished = _unfinished(held, decision, limit)
        await self._finish(tally, unfinished)
        return tally

    async def forget_deleted(self, retention_days: int) -> None:
        """Drop the progress of resources deleted longer ago than any message can come again."""
        async with self._database.connection() as connection:
            await connection.execute(statements.FORGET, timedelta(days=retention_days))

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        try:
            async with self._database.connection() as connection, connection.transaction():
                yield connection
        except Exception as error:
            if not is_bad_record(error):
                self._part.failed(self._part.now)
            raise
        self._part.succeeded()

    async def _write(self, connection: Connection, decision: Decision) -> Tally:
        stored: set[str] = set()
        if decision.apply:
            rows = await connection.fetch(statements.APPLY, *_columns(decision.apply))
            stored = {row["id"] for row in rows}
        if decision.progress:
            await connection.execute(
                statements.PROGRESS,
                list(decision.progress),
                [progress.version for progress in decision.progress.values()],
                [progress.deleted for progress in decision.progress.values()],
            )
        if decision.hold:
            rows = await connection.fetch(statements.HOLD, *_columns(decision.hold))
            new = {row["id"] for row in rows}
            decision.repeats += [record for record in decision.hold if record.id not in new]
            decision.hold = [record for record in decision.hold if record.id in new]
        if decision.lift:
            await connection.execute(
                statements.LIFT,
                sorted({record.resource_id or "" for record in decision.lift}),
                [record.id for record in decision.lift],
            )
        return _tally(decision, stored)


def _unfinished(held: Sequence[HeldRecord], decision: Decision, limit: int) -> list[str]:
    """The resources of which all that was read took effect, and of which there may be more."""
    read = Counter(item.record.resource_id or "" for item in held)
    lifted = Counter(record.resource_id or "" for record in decision.lift)
    return sorted(r for r, count in read.items() if count == limit == lifted[r])


def _tally(decision: Decision, stored: set[str]) -> Tally:
    tally = Tally(held=decision.hold, duplicate=list(decision.repeats), gaps=decision.gaps)
    for record in decision.apply:
        if record.id not in stored:
            tally.duplicate.append(record)
            continue
        # Once only: the same message twice in a batch is one row and one duplicate.
        stored.discard(record.id)
        (tally.late if record.id in decision.stale else tally.processed).append(record)
    return tally


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

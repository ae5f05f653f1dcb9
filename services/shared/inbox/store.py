"""The transactions of an inbox: order and effect in one, whatever the size of the batch."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from services.contracts.envelope import MAX_VERSION
from services.shared.inbox import statements
from services.shared.inbox.effect import Effect
from services.shared.inbox.records import HeldRecord, Record
from services.shared.inbox.sequencing import Decision, Progress, reached, release_gaps, sequence
from services.shared.inbox.tally import Tally, tally_of
from services.shared.postgres.database import Connection, Database
from services.shared.runtime.sizing import FittingSize
from services.shared.tracing import spans

# How many held events of an aggregate a transaction reads at most, and how many overdue aggregates.
_PART = 100


class BadRecordError(Exception):
    """The database refuses the content of a record for good."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many events are held, and how many of them since before `horizon`, the deadline ago."""

    held: int
    overdue: int
    horizon: datetime


def is_bad_record(error: BaseException) -> bool:
    """Whether the database blames the data: class 22, 23 or 54, or a value it cannot be sent."""
    if isinstance(error, asyncpg.PostgresError):
        # A tuple, not one string: sqlstate is absent from some of asyncpg's own errors.
        return str(getattr(error, "sqlstate", ""))[:2] in {"22", "23", "54"}
    return isinstance(error, ValueError)


class Inbox:
    """Has the effect of events once each, in the order of their aggregates.

    `database` has the tables of ddl.py, beside those of the effect. gap_deadline_seconds: how long
    an event waits at least for a missing one. All methods raise DatabaseUnavailableError.
    """

    def __init__(self, database: Database, effect: Effect, gap_deadline_seconds: float) -> None:
        self._database = database
        self._effect = effect
        self._deadline = timedelta(seconds=gap_deadline_seconds)
        self._part = FittingSize(_PART)

    async def process(self, records: Sequence[Record]) -> Tally:
        """Have the effect of those `records` whose turn it is, and hold the rest: one transaction.

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
        self, records: Sequence[Record], aggregates: list[str] | None
    ) -> tuple[Tally, list[str]]:
        gated = aggregates or sorted({r.aggregate for r in records if r.version is not None})
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
        """What is held for any aggregate, by the database's clock."""
        row = await self._database.fetchrow(statements.WAITING, self._deadline)
        assert row is not None  # an aggregate function
        return Waiting(row["held"], row["overdue"], row["horizon"])

    async def release_gaps(self, horizon: datetime) -> Tally:
        """Let go what has been held since before `horizon`, of some aggregates at a time.

        An empty tally says that nothing is left, or that another instance has it in hand.
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

    async def forget_ended(self, retention_days: int) -> None:
        """Drop the progress of aggregates that ended longer ago than any message can come again."""
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
        new: set[str] = set()
        if decision.apply:
            with spans.also_of(record.traceparent for record in decision.lift):
                new = await self._effect.apply(connection, decision.apply)
        if decision.progress:
            await connection.execute(
                statements.PROGRESS,
                list(decision.progress),
                [progress.version for progress in decision.progress.values()],
                [progress.ended for progress in decision.progress.values()],
            )
        if decision.hold:
            rows = await connection.fetch(statements.HOLD, *_columns(decision.hold))
            stored = {row["id"] for row in rows}
            decision.repeats += [record for record in decision.hold if record.id not in stored]
            decision.hold = [record for record in decision.hold if record.id in stored]
        if decision.lift:
            await connection.execute(
                statements.LIFT,
                sorted({record.aggregate for record in decision.lift}),
                [record.id for record in decision.lift],
            )
        return tally_of(decision, new)


def _unfinished(held: Sequence[HeldRecord], decision: Decision, limit: int) -> list[str]:
    """The aggregates of which all that was read took effect, and of which there may be more."""
    read = Counter(item.record.aggregate for item in held)
    lifted = Counter(record.aggregate for record in decision.lift)
    return sorted(a for a, count in read.items() if count == limit == lifted[a])


def _columns(records: Sequence[Record]) -> list[list[object]]:
    return [
        [r.id for r in records],
        [r.event_type for r in records],
        [r.aggregate for r in records],
        [r.version for r in records],
        [r.payload for r in records],
        [r.last for r in records],
        [r.correlation_id for r in records],
        [r.traceparent for r in records],
    ]


def _progress(rows: Sequence[asyncpg.Record]) -> dict[str, Progress]:
    return {row["aggregate"]: Progress(row["version"], row["ended"]) for row in rows}


def _held(rows: Sequence[asyncpg.Record]) -> list[HeldRecord]:
    return [
        HeldRecord(
            record=Record(
                id=row["id"],
                event_type=row["event_type"],
                aggregate=row["aggregate"],
                version=row["version"],
                payload=row["payload"],
                correlation_id=row["correlation_id"],
                traceparent=row["traceparent"],
                last=row["last"],
            ),
            held_at=row["held_at"],
            overdue=row["overdue"],
        )
        for row in rows
    ]

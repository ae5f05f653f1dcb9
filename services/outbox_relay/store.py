"""The relay's work on outbox_events: one statement to claim a batch and one to mark it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from services.contracts.envelope import Envelope
from services.contracts.payloads import version_of
from services.outbox_relay import statements
from services.outbox_relay.detour import Look, Waiting
from services.outbox_relay.outcomes import OutboxEvent
from services.shared.postgres.database import Database

BACKLOG_LIMIT = 100_000
"""The unsent gauge stops counting here: an exact number would cost more than it tells."""

_LEAST_PER_LANE = 64
# A look only reads, and little of each row: it may go further than a claim.
_LOOK_EVENTS = 4096

PLANNER = {
    "enable_sort": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
"""Session settings for the relay's connections. Statistics are taken while next to nothing is
unsent, so after an outage the planner expects one row where there are a hundred thousand, and
reads and sorts all of them for every batch. The plan that follows the indexes is always good."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """unsent: events waiting, parked keys aside. oldest_seconds: age of the oldest of them."""

    unsent: int
    oldest_seconds: float
    parked_keys: int


def _affected(status: str) -> int:
    """The row count at the end of a command tag such as "UPDATE 500"."""
    return int(status.rsplit(" ", 1)[1])


def _in_order(rows: Sequence[asyncpg.Record]) -> list[OutboxEvent]:
    events = [
        OutboxEvent(
            event=Envelope(
                id=row["id"],
                type=row["event_type"],
                aggregate_id=row["aggregate_id"],
                aggregate_version=row["aggregate_version"],
                payload=row["payload"],
                traceparent=row["traceparent"],
                correlation_id=row["correlation_id"],
                # As this release writes it. A row of the one before, or after, says it wrongly for
                # as long as an update takes, and any version reads what any other wrote.
                schema_version=version_of(row["event_type"]),
            ),
            lane=row["lane"],
            seq=row["seq"],
            attempts=row["attempts"],
            created_at=row["created_at"],
        )
        for row in rows
    ]
    events.sort(key=lambda event: event.seq)
    return events


class OutboxStore:
    """Statements over the outbox of `database` in the name of `owner`.

    Every method is one SQL statement and one transaction. `lanes` maps lane to fencing token.
    All raise DatabaseUnavailableError.
    """

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self._owner = owner

    async def claim(
        self,
        lanes: Mapping[int, int],
        *,
        lease_left: float,
        resting_keys: Collection[str],
        limit: int,
        careful_attempts: int,
    ) -> list[OutboxEvent]:
        """Count an attempt on the next events of `lanes` and return them in publishing order.

        Lanes whose lease has less than `lease_left` seconds to run give nothing. At most `limit`
        events, and one alone while any of them has `careful_attempts` unanswered tries.
        """
        per_lane = max(_LEAST_PER_LANE, -(-limit // max(1, len(lanes))))
        rows = await self._database.fetch(
            statements.CLAIM,
            list(lanes),
            list(lanes.values()),
            self._owner,
            timedelta(seconds=lease_left),
            list(resting_keys),
            min(per_lane, limit),
            limit,
            careful_attempts,
        )
        return _in_order(rows)

    async def look(
        self, lanes: Mapping[int, int], after: Sequence[int], *, lease_left: float
    ) -> Look:
        """The next unsent events of each of `lanes` behind its seq in `after`; changes nothing."""
        rows = await self._database.fetch(
            statements.LOOK,
            list(lanes),
            list(lanes.values()),
            self._owner,
            timedelta(seconds=lease_left),
            list(after),
            max(_LEAST_PER_LANE, _LOOK_EVENTS // max(1, len(lanes))),
        )
        if not rows:
            return Look()
        events = [
            Waiting(
                id=row["id"],
                lane=row["lane"],
                seq=row["seq"],
                key=row["aggregate_id"],
                topic=row["event_type"],
                attempts=row["attempts"],
                parked=row["parked"],
            )
            for row in rows
        ]
        return Look(events, rows[0]["oldest"], rows[0]["next"])

    async def take(
        self, lanes: Mapping[int, int], ids: Sequence[str], *, lease_left: float
    ) -> list[OutboxEvent]:
        """claim() for the events `ids`, as far as they are unsent, unparked and in `lanes`."""
        rows = await self._database.fetch(
            statements.TAKE,
            list(lanes),
            list(lanes.values()),
            self._owner,
            timedelta(seconds=lease_left),
            list(ids),
        )
        return _in_order(rows)

    async def mark(self, lanes: Mapping[int, int], events: Sequence[OutboxEvent]) -> int:
        """Mark `events` processed where the lane is still ours; return how many were."""
        return await self._on_events(statements.MARK, lanes, [event.event.id for event in events])

    async def refund(self, lanes: Mapping[int, int], events: Sequence[OutboxEvent]) -> int:
        """Take back the attempt counted on `events`; return how many rows changed."""
        return await self._on_events(statements.REFUND, lanes, [event.event.id for event in events])

    async def park(self, lanes: Mapping[int, int], event: OutboxEvent, reason: str) -> bool:
        """Record `event` as dead and set its key aside; False when the lane is no longer ours."""
        return await self._on_events(statements.PARK, lanes, event.event.id, reason[:2000]) > 0

    async def backlog(self) -> Backlog:
        """How much waits, counted up to BACKLOG_LIMIT."""
        row = await self._database.fetchrow(statements.BACKLOG, BACKLOG_LIMIT)
        if row is None:
            return Backlog(0, 0.0, 0)
        return Backlog(row["unsent"], max(0.0, row["oldest"] or 0.0), row["parked"])

    async def _on_events(self, statement: str, lanes: Mapping[int, int], *rest: object) -> int:
        async with self._database.connection() as connection:
            return _affected(
                await connection.execute(
                    statement, list(lanes), list(lanes.values()), self._owner, *rest
                )
            )

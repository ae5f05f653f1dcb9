"""Writes to a service's tables, each together with its outbox event in ONE statement.

In one statement, because between two of them the process may die or the connection break, and
because one round trip holds the row lock for the shortest time:

- the aggregate's row is locked and its version raised first; the outbox row is made from what that
  step returns, so the outbox sequence of one aggregate follows its versions, whoever writes;
- NOTIFY wakes the relay at commit, debounced (wakeup.py); the relay polls too, so a lost one costs
  only time.
"""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from services.contracts.ids import new_id
from services.shared.outbox.lanes import lane_of
from services.shared.outbox.wakeup import CHANNEL, Wakeup
from services.shared.postgres.database import Database

EVENTS = "outbox_events"
"""The table of events; ddl.py makes it, the relay empties it."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a write came from, to be carried by its event; None: it does not say."""

    correlation_id: str | None
    traceparent: str | None


def with_event(change: str, event_type: str, payload: str, result: str, *, before: str = "") -> str:
    """A statement that makes `change` (the rows r), writes their event and notifies.

    Parameters $1 to $6 are write()'s: aggregate id, event id, lane, correlation id, traceparent,
    and whether to notify; `change` has the rest. It gives at most one row r, with the aggregate's
    `id` and its new `version`; `payload` is a jsonb expression over it. `result` is what the
    statement gives, columns and FROM: one row in any case, whose `id` is null where nothing
    was changed. `before` is what `change` builds on, as CTEs that end with a comma.

    The texts become part of the statement, so they are constants of the program, never input.
    """
    event = f"$2, $3::smallint, r.id, r.version, '{event_type}', {payload}, $4, $5 FROM r"
    return _statement(before, change, event, "WHERE $6::boolean", result)


def with_events(
    change: str, event_type: str, payload: str, result: str, *, before: str = ""
) -> str:
    """The same of a `change` that gives any number of rows r, for a transaction of many changes.

    Each row has besides what is a parameter there: `event_id`, `lane` (lane_of), `correlation_id`
    and `traceparent`; and a `place`, in whose order the events are written: that of the versions of
    each aggregate. It always notifies, once, at the transaction's commit: a batch is one. All
    parameters are the change's.
    """
    event = f"""r.event_id, r.lane, r.id, r.version, '{event_type}', {payload}, r.correlation_id,
                   r.traceparent FROM r ORDER BY r.place"""
    return _statement(before, change, event, "", result)


def _statement(before: str, change: str, event: str, notify: str, result: str) -> str:
    return f"""
        WITH {before} r AS ({change}),
        e AS (
            INSERT INTO {EVENTS} (id, lane, aggregate_id, aggregate_version, event_type,
                                       payload, correlation_id, traceparent)
            SELECT {event}
            RETURNING id
        ),
        n AS (SELECT count(pg_notify('{CHANNEL}', '')) FROM e {notify})
        SELECT {result} LEFT JOIN n ON true"""  # noqa: S608


class Outbox:
    """Makes writes that leave an event, and sees to it that the relay hears of them.

    notify_seconds: at most one NOTIFY in this time, see Wakeup.
    """

    def __init__(self, database: Database, notify_seconds: float = 0.01) -> None:
        self._database = database
        self._wakeup = Wakeup(database, notify_seconds)

    async def write(
        self, statement: str, aggregate_id: str, origin: Origin, *args: object
    ) -> asyncpg.Record:
        """Run a statement of with_event(), whose parameters from $7 on are `args`; its row.

        Raises DatabaseUnavailableError.
        """
        notify = self._wakeup.take()
        row = await self._database.fetchrow(
            statement,
            aggregate_id,
            new_id(),
            lane_of(aggregate_id),
            origin.correlation_id,
            origin.traceparent,
            notify,
            *args,
        )
        assert row is not None, "the statement gives one row whatever it changed"
        if not notify and row["id"] is not None:
            self._wakeup.owe()
        return row

    async def close(self) -> None:
        """Send the NOTIFY that is owed, for as long as the database is there."""
        await self._wakeup.close()
